package Test::LLM::WsServer;

# A provider of sessions by WebSocket, in its own process.
#
#   my $up = Test::LLM::WsServer->new;
#   $up->port; $up->sessions            each so far: path, h, key, said (a list
#                                       of messages), bytes, ended
#   $up->answer_with(accept => 'x', protocol => 'realtime', extensions => '...',
#               headers => [ ... ], raw => $bytes, behind => $bytes)
#
# A text message that begins with "!" says what to do next; any other message
# comes back as it is:
#
#   !send N       a binary message of N bytes       !event JSON   as text
#   !pieces N     a text in N frames with pings     !deaf         reads no more
#   !close CODE   !fin   !rst                       !compressed   RSV1 is set
#   !raw HEX

use strict;
use warnings;
use base 'Test::LLM::Process';

use IO::Poll qw(POLLIN POLLOUT POLLERR POLLHUP);
use IO::Socket::INET;
use Socket qw(SOL_SOCKET SO_LINGER IPPROTO_TCP TCP_NODELAY);

use Test::LLM::WebSocket;


sub new {
    my ($class, %o) = @_;
    my $listen = IO::Socket::INET->new(LocalAddr => '127.0.0.1',
        LocalPort => $o{port} || 0, Proto => 'tcp', Listen => 128,
        ReuseAddr => 1) or die "listen: $!";
    $listen->blocking(0);

    my $self = bless { listen => $listen, port => $listen->sockport,
        conns => {}, sessions => [], answer => {} }, $class;
    $self->launch;
    close $listen;
    return $self;
}

sub port     { $_[0]{port} }
sub sessions { @{ $_[0]->call('sessions') } }
sub answer_with { my ($s, %o) = @_; $s->call('answer_with', \%o) }
sub forget   { $_[0]->call('forget') }

sub cmd_sessions { $_[0]{sessions} }
sub cmd_answer_with { $_[0]{answer} = $_[1]; 1 }
sub cmd_forget { $_[0]{sessions} = []; 1 }


sub serve {
    my ($self) = @_;

    for ( ;; ) {
        my $poll = IO::Poll->new;
        $poll->mask($_ => POLLIN) for $self->{control}, $self->{listen};
        for my $c (values %{ $self->{conns} }) {
            my $mask = $c->{deaf} ? 0 : POLLIN;
            $mask |= POLLOUT if length $c->{out};
            $poll->mask($c->{sock} => $mask);
        }
        $poll->poll(60);

        if ($poll->events($self->{control})) {
            return unless $self->answer;
        }
        while (my $sock = $self->{listen}->accept) {
            $sock->blocking(0);
            setsockopt $sock, IPPROTO_TCP, TCP_NODELAY, 1;
            $self->{conns}{ fileno $sock } = { sock => $sock, in => '', out => '',
                                               state => {} };
        }
        for my $c (values %{ $self->{conns} }) {
            my $ev = $poll->events($c->{sock}) || 0;
            $self->_read($c) if $ev & (POLLIN | POLLERR | POLLHUP);
            $self->_write($c);
        }
    }
}

sub _drop {
    my ($self, $c, $how) = @_;
    delete $self->{conns}{ fileno $c->{sock} };
    $c->{session}{ended} = $how if $c->{session};
    close $c->{sock};
    $c->{gone} = 1;
}

sub _read {
    my ($self, $c) = @_;
    my $n = sysread $c->{sock}, my $data, 262144;
    if (!defined $n) {
        return if $!{EAGAIN} || $!{EINTR};
        return $self->_drop($c, 'reset');
    }
    return $self->_drop($c, 'eof') if $n == 0;

    $c->{in} .= $data;
    if (!$c->{session}) {
        $self->_head($c) or return;
    }
    $c->{session}{bytes} += $n;

    while (!$c->{gone} && !$c->{deaf}) {
        my $m = Test::LLM::WebSocket::take_message(\$c->{in}, $c->{state}) or last;
        $self->_message($c, @$m);
    }
}

sub _head {
    my ($self, $c) = @_;
    my $end = index $c->{in}, "\r\n\r\n";
    return if $end < 0;

    my ($line, @lines) = split /\r\n/, substr $c->{in}, 0, $end + 4, '';
    my ($method, $path) = split ' ', $line;
    my %h;
    for (@lines) {
        my ($k, $v) = /^([^:]+):\s*(.*)$/ or next;
        $k = lc $k;
        $h{$k} = defined $h{$k} ? "$h{$k}, $v" : $v;
    }
    my $s = $c->{session} = { method => $method, path => $path, h => \%h,
        said => [], bytes => 0, head => join("\n", $line, @lines) };
    push @{ $self->{sessions} }, $s;

    my $a = $self->{answer};
    if (defined $a->{raw}) {
        $c->{out} .= $a->{raw};
        return 1;
    }
    my ($first) = split /,\s*/, $h{'sec-websocket-protocol'} // '';
    my $protocol = $a->{protocol} // $first;
    $c->{out} .= join "\r\n", 'HTTP/1.1 101 Switching Protocols',
        'Upgrade: ' . ($a->{upgrade} // 'websocket'), 'Connection: Upgrade',
        'Sec-WebSocket-Accept: '
            . ($a->{accept} // Test::LLM::WebSocket::accept_of($h{'sec-websocket-key'} // '')),
        (length($protocol // '') ? "Sec-WebSocket-Protocol: $protocol" : ()),
        ($a->{extensions} ? "Sec-WebSocket-Extensions: $a->{extensions}" : ()),
        @{ $a->{headers} || [] }, '', $a->{behind} // '';
    return 1;
}

sub _message {
    my ($self, $c, $kind, $payload) = @_;
    my $say = sub { $c->{out} .= Test::LLM::WebSocket::message(@_) };

    if ($kind eq 'close') {
        $c->{session}{close} = length $payload >= 2 ? unpack 'n', $payload : 1005;
        $say->(close => $payload);
        $c->{last} = 1;
        return;
    }
    return $say->(pong => $payload) if $kind eq 'ping';
    return if $kind eq 'pong';

    push @{ $c->{session}{said} }, length $payload > 200 ? length $payload : $payload;
    $kind //= 'binary';                     # no message, whatever it is
    return $say->($kind => $payload) unless $kind eq 'text' && $payload =~ /^!(\w+) ?(.*)/s;

    my ($do, $arg) = ($1, $2);
    $do eq 'send' ? $say->(binary => 'x' x $arg)
    : $do eq 'event' ? $say->(text => $arg)
    : $do eq 'compressed' ? $say->(text => $arg, rsv => 0x40)
    : $do eq 'pieces' ? $say->(text => join('', 'a' .. 'z'), pieces => $arg, pings => 1)
    : $do eq 'raw' ? ($c->{out} .= pack 'H*', $arg)
    : $do eq 'close' ? do { $say->(close => pack 'n', $arg); $c->{last} = 1 }
    : $do eq 'fin' ? ($c->{last} = 1)
    : $do eq 'rst' ? do {
        setsockopt $c->{sock}, SOL_SOCKET, SO_LINGER, pack 'ii', 1, 0;
        $self->_drop($c, 'script') }
    : $do eq 'deaf' ? ($c->{deaf} = 1)
    : die "no such command: $do";
}

sub _write {
    my ($self, $c) = @_;
    return if $c->{gone};

    while (length $c->{out}) {
        my $n = syswrite $c->{sock}, $c->{out}, 262144;
        if (!defined $n) {
            return if $!{EAGAIN} || $!{EINTR};
            return $self->_drop($c, 'reset');
        }
        substr $c->{out}, 0, $n, '';
    }
    $self->_drop($c, 'script') if $c->{last};
}

1;
