package Test::LLM::Provider;

# A quick provider in its own process whose log of arrivals is the judge of
# limits: nothing that a gateway counts is believed before it agrees with this.
#
#   my $provider = Test::LLM::Provider->new;        clock => $clock: its times
#   $provider->port
#   $provider->log                      list of { at, key, tag, client, model,
#                                         input, output, status, stream, cut }
#   $provider->count                    how many arrivals so far; cheap
#   $provider->clients                  the same by client: { a => 17, .. }
#   $provider->forget
#   $provider->set(wait => ms, fail => 0.1)     for all that do not say it
#
# A request says in its prompt what it costs, in words anywhere in the body:
#
#   tag=CLIENT.N        who sent it
#   use=IN/OUT          the usage that is reported, and what it is charged for
#   wait=MS             so late the answer begins
#   fail=STATUS         an error instead of it, which costs nothing
#   mute=1              no usage is reported
#
# The time of an arrival is when its last byte was read.  "cut" is what of a
# stream was not taken any more.

use strict;
use warnings;
use base 'Test::LLM::Process';

use Errno qw(EAGAIN EINTR EWOULDBLOCK);
use IO::Socket::INET;
use Socket qw(IPPROTO_TCP TCP_NODELAY SOMAXCONN);
use Time::HiRes qw(time);

use constant FIELDS => qw(at key tag client model input output status stream cut);


sub new {
    my ($class, %o) = @_;
    my $listen = IO::Socket::INET->new(LocalAddr => '127.0.0.1',
        LocalPort => $o{port} || 0, Proto => 'tcp', Listen => SOMAXCONN,
        ReuseAddr => 1) or die "listen: $!";
    $listen->blocking(0);

    my $self = bless { listen => $listen, port => $listen->sockport,
        clock => $o{clock},
        conns => {}, arrivals => [], clients => {}, set => {}, sleeping => [] }, $class;
    $self->launch;
    close $listen;
    return $self;
}


sub port   { $_[0]{port} }
sub count  { $_[0]->call('count') }
sub clients { $_[0]->call('clients') }
sub forget { $_[0]->call('forget') }
sub set    { my ($s, %o) = @_; $s->call('set', \%o) }

sub log {
    my ($self) = @_;
    my $clock = $self->{clock};
    return map {
        my %r;
        @r{ +FIELDS } = @$_;
        $r{at} = $clock->at($r{at}) if $clock;
        \%r;
    } @{ $self->call('log') };
}

sub cmd_count  { scalar @{ $_[0]{arrivals} } }
sub cmd_clients { $_[0]{clients} }
sub cmd_log    { $_[0]{arrivals} }
sub cmd_forget { my ($s) = @_; $s->{arrivals} = []; $s->{clients} = {}; 1 }
sub cmd_set    { $_[0]{set} = $_[1]; 1 }


# ---- the child --------------------------------------------------------------

sub serve {
    my ($self) = @_;
    my ($control, $listen) = map { fileno $self->{$_} } qw(control listen);

    for ( ;; ) {
        my ($r, $w) = ('', '');
        my $wait = 5;

        vec($r, $_, 1) = 1 for $control, $listen, keys %{ $self->{conns} };
        vec($w, $_, 1) = 1
            for grep { length $self->{conns}{$_}{out} } keys %{ $self->{conns} };
        if (@{ $self->{sleeping} }) {
            $wait = $self->{sleeping}[0][0] - time;
            $wait = 0 if $wait < 0;
        }
        my $n = select $r, $w, undef, $wait;
        ($r, $w) = ('', '') if $n < 0;

        if (vec $r, $control, 1) {
            return unless $self->answer;
        }
        $self->_accept if vec $r, $listen, 1;
        for my $fd (keys %{ $self->{conns} }) {
            my $c = $self->{conns}{$fd};
            $self->_read($c) if vec $r, $fd, 1;
            $self->_flush($c) if $self->{conns}{$fd} && length $c->{out};
        }
        $self->_wake;
    }
}

sub _accept {
    my ($self) = @_;
    while (my $sock = $self->{listen}->accept) {
        $sock->blocking(0);
        setsockopt $sock, IPPROTO_TCP, TCP_NODELAY, 1;
        my $fd = fileno $sock;
        $self->{conns}{$fd} = { fd => $fd, sock => $sock, in => '', out => '' };
    }
}

sub _read {
    my ($self, $c) = @_;
    my $n = sysread $c->{sock}, $c->{in}, 262144, length $c->{in};
    return if !defined $n && ($!{EAGAIN} || $!{EWOULDBLOCK} || $!{EINTR});
    return $self->_close($c) if !$n;
    $self->_parse($c);
}

sub _close {
    my ($self, $c) = @_;
    delete $self->{conns}{ $c->{fd} };
    $c->{record}[9] = length $c->{out} if $c->{record} && length $c->{out};
    $c->{closed} = 1;
    close $c->{sock};
}

sub _parse {
    my ($self, $c) = @_;

    for ( ;; ) {
        my $end = index $c->{in}, "\r\n\r\n";
        return if $end < 0;
        my ($len) = $c->{in} =~ /^content-length:\s*(\d+)/im;
        return if length $c->{in} < $end + 4 + ($len // 0);
        my $head = substr $c->{in}, 0, $end + 4, '';
        my $body = substr $c->{in}, 0, $len // 0, '';
        $self->_arrival($c, $head, $body);
    }
}

sub _arrival {
    my ($self, $c, $head, $body) = @_;
    my ($key) = $head =~ /^authorization:\s*Bearer (\S+)/im;
    my ($tag, $client) = $body =~ /\btag=(([\w-]+)\.\d+)/ ? ($1, $2) : ('', '');
    my ($in, $out) = $body =~ m{\buse=(\d+)/(\d+)} ? ($1, $2) : (10, 5);
    my ($model) = $body =~ /"model"\s*:\s*"([^"]*)"/;
    my $stream = $body =~ /"stream"\s*:\s*true/ ? 1 : 0;
    my ($fail) = $body =~ /\bfail=(\d+)/;
    my ($wait) = $body =~ /\bwait=(\d+)/;

    $fail //= 503 if $self->{set}{fail} && rand() < $self->{set}{fail};
    $wait //= $self->{set}{wait};

    my $record = [ time, $key // '', $tag, $client, $model // '', $in, $out,
                   $fail || 200, $stream, 0 ];
    push @{ $self->{arrivals} }, $record;
    $self->{clients}{$client}++;

    my $usage = $body =~ /\bmute=1/ ? '' : sprintf ',"usage":{"prompt_tokens":%d,'
        . '"completion_tokens":%d,"total_tokens":%d}', $in, $out, $in + $out;
    my $bytes = $fail ? _failure($fail)
        : $stream ? _stream($model, $usage, $out) : _whole($model, $usage, $out);

    if ($wait) {
        @{ $self->{sleeping} } = sort { $a->[0] <=> $b->[0] }
            @{ $self->{sleeping} }, [ time + $wait / 1000, $c, $record, $bytes ];
        return;
    }
    $self->_answer($c, $record, $bytes);
}

sub _wake {
    my ($self) = @_;
    while (@{ $self->{sleeping} } && $self->{sleeping}[0][0] <= time) {
        my (undef, $c, $record, $bytes) = @{ shift @{ $self->{sleeping} } };
        if ($c->{closed}) {
            $record->[9] = length $bytes;
            next;
        }
        $self->_answer($c, $record, $bytes);
    }
}

sub _answer {
    my ($self, $c, $record, $bytes) = @_;
    $c->{record} = $record;
    $c->{out} .= $bytes;
    $self->_flush($c);
}

sub _flush {
    my ($self, $c) = @_;
    my $n = syswrite $c->{sock}, $c->{out};
    if (!defined $n) {
        return if $!{EAGAIN} || $!{EWOULDBLOCK} || $!{EINTR};
        return $self->_close($c);
    }
    substr $c->{out}, 0, $n, '';
}


sub _http {
    my ($status, $type, $body) = @_;
    return "HTTP/1.1 $status X\r\nContent-Type: $type\r\nContent-Length: "
        . length($body) . "\r\n\r\n$body";
}

sub _failure {
    my ($status) = @_;
    return _http($status, 'application/json',
        '{"error":{"message":"no","type":"server_error","code":null}}');
}

# a word is about a token
sub _words { join ' ', ('word') x $_[0] }

sub _whole {
    my ($model, $usage, $out) = @_;
    my $text = _words($out);
    return _http(200, 'application/json', '{"id":"c-1","object":'
        . qq("chat.completion","created":1790000000,"model":"$model","choices":)
        . qq([{"index":0,"message":{"role":"assistant","content":"$text"},)
        . qq("finish_reason":"stop"}]$usage}));
}

sub _stream {
    my ($model, $usage, $out) = @_;
    my $head = '{"id":"c-1","object":"chat.completion.chunk","created":'
        . qq(1790000000,"model":"$model","choices":[);
    my $body = '';

    for my $n (1 .. ($out > 20 ? 20 : $out || 1)) {
        my $words = int($out * $n / 20) - int($out * ($n - 1) / 20);
        my $text = _words($out > 20 ? $words : 1) . ' ';
        $body .= qq(data: $head\{"index":0,"delta":{"content":"$text"},)
            . qq("finish_reason":null}]}\n\n);
    }
    $body .= qq(data: $head\{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n);
    $body .= "data: $head]$usage}\n\n" if $usage;
    $body .= "data: [DONE]\n\n";
    return _http(200, 'text/event-stream', $body);
}

1;
