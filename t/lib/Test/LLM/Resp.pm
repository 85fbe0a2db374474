package Test::LLM::Resp;

# The protocol of Redis (RESP2): a blocking client, and the codec for others.
#
#   my $c = Test::LLM::Resp->connect($port, $timeout) or ...;
#   my ($value, $error) = $c->ask('GET', 'k');
#   my @replies = $c->pipeline([ 'SET', .. ], [ 'GET', .. ]);   [ value, error ]
#   my @message = $c->read_reply;           what comes unasked (subscriptions)
#
#   encode('SET', 'k', 'v')                 the bytes of a command
#   decode(\$bytes)                         takes one whole reply or command off
#                                           the front: [ value, error ] or undef

use strict;
use warnings;

use IO::Select;
use IO::Socket::INET;
use Socket qw(IPPROTO_TCP TCP_NODELAY);
use Time::HiRes qw(time);

our $TIMEOUT = 10 * ($ENV{LLM_TEST_SLOW} || 1);


sub connect {
    my ($class, $port, $timeout) = @_;
    my $sock = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port,
        Proto => 'tcp', Timeout => 5) or return;

    setsockopt $sock, IPPROTO_TCP, TCP_NODELAY, 1;
    return bless { sock => $sock, in => '', timeout => $timeout || $TIMEOUT },
        $class;
}


sub ask {
    my ($self, @args) = @_;
    my ($one) = $self->pipeline(\@args);
    return @$one;
}


# A connection that does not answer in time is of no use any more.
sub pipeline {
    my ($self, @commands) = @_;
    local $SIG{PIPE} = 'IGNORE';
    my $out = join '', map { encode(@$_) } @commands;

    while (length $out && !$self->{broken}) {
        my $n = syswrite $self->{sock}, $out;
        $self->{broken} = "write: $!" unless $n;
        substr $out, 0, $n, '' if $n;
    }
    return map { [ $self->read_reply ] } @commands;
}


sub read_reply {
    my ($self, $timeout) = @_;
    my $end = time + ($timeout || $self->{timeout});

    for ( ;; ) {
        return (undef, $self->{broken}) if $self->{broken};
        my $reply = decode(\$self->{in});
        return @$reply if $reply;

        my $left = $end - time;
        if ($left <= 0 || !IO::Select->new($self->{sock})->can_read($left)) {
            next if $left > 0;
            return (undef, 'timeout') if $timeout;
            $self->{broken} = 'timeout';
            next;
        }
        my $n = sysread $self->{sock}, $self->{in}, 65536, length $self->{in};
        $self->{broken} = 'closed' unless $n;
    }
}


sub encode {
    my $out = '*' . @_ . "\r\n";

    for my $arg (@_) {
        my $bytes = $arg;
        utf8::encode($bytes) if utf8::is_utf8($bytes);
        $out .= '$' . length($bytes) . "\r\n$bytes\r\n";
    }
    return $out;
}


sub decode {
    my ($in) = @_;
    my $at = 0;
    my $reply = _one($in, \$at) or return;
    substr $$in, 0, $at, '';
    return $reply;
}


sub _one {
    my ($in, $at) = @_;
    my $end = index $$in, "\r\n", $$at;
    return if $end < 0;

    my $kind = substr $$in, $$at, 1;
    my $text = substr $$in, $$at + 1, $end - $$at - 1;
    $$at = $end + 2;

    return [ $text, undef ] if $kind eq '+' || $kind eq ':';
    return [ undef, $text ] if $kind eq '-';

    if ($kind eq '$') {
        return [ undef, undef ] if $text < 0;
        return if length($$in) < $$at + $text + 2;
        my $value = substr $$in, $$at, $text;
        $$at += $text + 2;
        return [ $value, undef ];
    }
    if ($kind eq '*') {
        return [ undef, undef ] if $text < 0;
        my @list;
        for (1 .. $text) {
            my $item = _one($in, $at) or return;
            push @list, $item->[1] // $item->[0];
        }
        return [ \@list, undef ];
    }
    die "no RESP: $kind\n";
}

1;
