package Test::LLM::RespServer;

# A server that speaks what the test wants: hostile, torn or wrong replies.
#
#   my $fake = Test::LLM::RespServer->new;
#   $fake->on(PING => '+PONG\r\n');                 literal bytes, in Perl quotes
#   $fake->on(EVALSHA => "-NOSCRIPT no\r\n", ":1\r\n");     n-th call, n-th reply
#   $fake->on('*' => { silent => 1 });              or { close => 1 },
#             { tear => ms, bytes => $bytes }, { wait => ms, bytes => $bytes },
#             { bytes => $bytes, close => 1 }, or
#             { bytes => $bytes, more => $bytes, times => N }
#   $fake->greet($bytes)                            before any command
#   $fake->commands                                 all so far: [ name, args.. ]
#
# The last reply repeats.  A command without a rule: "*", and +OK without that.

use strict;
use warnings;
use base 'Test::LLM::Process';

use IO::Poll qw(POLLIN POLLHUP POLLERR);
use IO::Socket::INET;
use Socket qw(IPPROTO_TCP TCP_NODELAY);
use Time::HiRes qw(time);

use Test::LLM::Resp;


sub new {
    my ($class, %o) = @_;
    my $listen = IO::Socket::INET->new(LocalAddr => '127.0.0.1',
        LocalPort => $o{port} || 0, Proto => 'tcp', Listen => 64,
        ReuseAddr => 1) or die "listen: $!";

    my $self = bless { listen => $listen, port => $listen->sockport,
        rules => {}, conns => {}, seen => [], opened => 0 }, $class;
    $self->launch;
    close $listen;
    return $self;
}


sub port     { $_[0]{port} }
sub on       { my ($s, $name, @r) = @_; $s->call('on', uc $name, @r) }
sub greet    { my ($s, $bytes) = @_; $s->call('greet', $bytes) }
sub commands { @{ $_[0]->call('commands') } }
sub opened   { $_[0]->call('opened') }
sub forget   { $_[0]->call('forget') }

sub cmd_on {
    my ($self, $name, @replies) = @_;
    $self->{rules}{$name} = { n => 0, replies => \@replies };
    return 1;
}
sub cmd_greet    { my ($s, $bytes) = @_; $s->{greet} = $bytes; 1 }
sub cmd_commands { $_[0]{seen} }
sub cmd_opened   { $_[0]{opened} }
sub cmd_forget   { $_[0]{seen} = []; 1 }


sub serve {
    my ($self) = @_;

    for ( ;; ) {
        my $poll = IO::Poll->new;
        my $wait = 5;

        $poll->mask($_ => POLLIN) for $self->{control}, $self->{listen};
        for my $c (values %{ $self->{conns} }) {
            $poll->mask($c->{sock} => POLLIN);
            next unless @{ $c->{out} };
            my $left = $c->{out}[0][0] - time;
            $left = 0 if $left < 0;
            $wait = $left if $left < $wait;
        }
        $poll->poll($wait);

        if ($poll->events($self->{control})) {
            return unless $self->answer;
        }
        $self->_accept if $poll->events($self->{listen});
        for my $c (values %{ $self->{conns} }) {
            $self->_read($c) if $poll->events($c->{sock});
            $self->_write($c);
        }
    }
}

sub _accept {
    my ($self) = @_;
    my $sock = $self->{listen}->accept or return;
    setsockopt $sock, IPPROTO_TCP, TCP_NODELAY, 1;
    my $c = $self->{conns}{ fileno $sock } = { sock => $sock, in => '', out => [] };
    $self->{opened}++;
    push @{ $c->{out} }, [ 0, $self->{greet} ] if defined $self->{greet};
}

sub _close {
    my ($self, $c) = @_;
    delete $self->{conns}{ fileno $c->{sock} };
    close $c->{sock};
}

sub _read {
    my ($self, $c) = @_;
    sysread $c->{sock}, $c->{in}, 65536, length $c->{in}
        or return $self->_close($c);

    while (my $command = Test::LLM::Resp::decode(\$c->{in})) {
        my @words = @{ $command->[0] };
        push @{ $self->{seen} }, [ @words ];
        $self->_reply($c, uc $words[0]);
    }
}

sub _reply {
    my ($self, $c, $name) = @_;
    my $rule = $self->{rules}{$name} || $self->{rules}{'*'}
        || { replies => [ "+OK\r\n" ] };
    my $list = $rule->{replies};
    my $n = $rule->{n}++ // 0;
    my $r = $list->[$n < @$list ? $n : -1];
    $r = { bytes => $r } unless ref $r;

    my $at = @{ $c->{out} } ? $c->{out}[-1][0] : time;
    $at += ($r->{wait} || 0) / 1000;
    return if $r->{silent};
    my $bytes = ($r->{bytes} // '') . ($r->{more} // '') x ($r->{times} || 0);

    for my $piece (defined $r->{tear} ? split //, $bytes : $bytes) {
        push @{ $c->{out} }, [ $at, $piece ];
        $at += ($r->{tear} || 0) / 1000;
    }
    push @{ $c->{out} }, [ $at, undef ] if $r->{close};
}

sub _write {
    my ($self, $c) = @_;

    while (defined fileno $c->{sock} && @{ $c->{out} } && $c->{out}[0][0] <= time) {
        my ($piece) = (shift @{ $c->{out} })->[1];
        return $self->_close($c) unless defined $piece;
        while (length $piece) {
            my $n = syswrite $c->{sock}, $piece or return $self->_close($c);
            substr $piece, 0, $n, '';
        }
    }
}

1;
