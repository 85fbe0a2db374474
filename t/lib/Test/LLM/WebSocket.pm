package Test::LLM::WebSocket;

# A client of WebSocket (RFC 6455), and the frames of both sides.
#
#   my $ws = Test::LLM::WebSocket->connect($port, $path, { Header => value });
#   $ws->status, $ws->header('x')       of the answer; body() of a refusal
#   $ws->say($text); $ws->say($bytes, binary => 1, pieces => 3)
#   $ws->hear($timeout)                 the next message, undef: none came
#   $ws->command('fin')                 what the server of WsServer is to do
#   $ws->close($code); $ws->ended       the end: "close CODE", "eof", "reset"
#   $ws->hang_up('hard')                without a word
#
# Options of connect(): key => '...', protocol => 'a, b', version => 13,
# raw => 1 (the headers are all there is).

use strict;
use warnings;

use Digest::SHA qw(sha1_base64);
use Errno qw(EAGAIN EINTR EWOULDBLOCK);
use IO::Poll qw(POLLIN POLLOUT);
use IO::Socket::INET;
use Socket qw(SOL_SOCKET SO_LINGER SO_RCVBUF IPPROTO_TCP TCP_NODELAY);
use Time::HiRes qw(time);

our $SLOW = $ENV{LLM_TEST_SLOW} || 1;

my %code = (text => 1, binary => 2, close => 8, ping => 9, pong => 10);
my %name = reverse %code;


sub accept_of { return sha1_base64($_[0] . '258EAFA5-E914-47DA-95CA-C5AB0DC85B11') . '=' }


# one frame; options: fin => 0, mask => 1, opcode 0 continues
sub frame {
    my ($opcode, $payload, %o) = @_;
    my $len = length $payload;
    my $mask = $o{mask} ? 0x80 : 0;

    my $head = pack 'C', (($o{fin} // 1) ? 0x80 : 0) | ($o{rsv} || 0) | $opcode;
    $head .= $len < 126 ? pack('C', $mask | $len)
        : $len < 65536 ? pack('Cn', $mask | 126, $len)
        : pack('CQ>', $mask | 127, $len);
    return $head . $payload unless $mask;

    my $key = pack 'N', int rand 2 ** 32;
    return $head . $key . ($payload ^ substr($key x ($len / 4 + 1), 0, $len));
}


# a message, in one frame or several
sub message {
    my ($kind, $payload, %o) = @_;
    my $n = $o{pieces} || 1;
    my $size = int((length($payload) + $n - 1) / $n) || 1;
    my @pieces = $n > 1 ? unpack("(a$size)*", $payload) : $payload;
    my $out = '';

    for my $i (0 .. $#pieces) {
        $out .= frame($i ? 0 : $code{$kind}, $pieces[$i], %o, fin => $i == $#pieces);
        $out .= frame($code{ping}, "between $i", mask => $o{mask})
            if $o{pings} && $i < $#pieces;
    }
    return $out;
}


# takes one frame off a buffer: { opcode, fin, rsv, masked, payload }
sub take_frame {
    my ($in) = @_;
    return if length $$in < 2;
    my ($b0, $b1) = unpack 'CC', $$in;
    my ($len, $at) = ($b1 & 0x7f, 2);

    if ($len >= 126) {
        $at = $len == 126 ? 4 : 10;
        return if length $$in < $at;
        $len = unpack $len == 126 ? 'x2n' : 'x2Q>', $$in;
    }
    my $key = '';
    if ($b1 & 0x80) {
        $key = substr $$in, $at, 4;
        $at += 4;
    }
    return if length $$in < $at + $len;

    my $payload = substr $$in, $at, $len;
    substr $$in, 0, $at + $len, '';
    $payload ^= substr($key x ($len / 4 + 1), 0, $len) if length $key;

    return { opcode => $b0 & 15, fin => $b0 >> 7, rsv => $b0 & 0x70,
             masked => length $key ? 1 : 0, payload => $payload };
}


# feeds frames into a state until a message is whole: [ kind, payload ]
sub take_message {
    my ($in, $state) = @_;

    while (my $f = take_frame($in)) {
        return [ $name{ $f->{opcode} }, $f->{payload} ] if $f->{opcode} >= 8;
        $state->{kind} = $name{ $f->{opcode} } if $f->{opcode};
        $state->{text} .= $f->{payload};
        $state->{frames}++;
        next unless $f->{fin};
        return [ $state->{kind}, delete $state->{text} ];
    }
    return;
}


# ---- the client -------------------------------------------------------------

sub connect {
    my ($class, $port, $path, $headers, %o) = @_;

    my $sock = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
        PeerPort => $port, Proto => 'tcp') or die "connect: $!";
    setsockopt $sock, IPPROTO_TCP, TCP_NODELAY, 1;
    setsockopt $sock, SOL_SOCKET, SO_RCVBUF, $o{rcvbuf} if $o{rcvbuf};
    $sock->blocking(0);

    my $key = $o{key} // 'AQIDBAUGBwgJCgsMDQ4PEA==';
    my @lines = map { "$_: $headers->{$_}" } sort keys %{ $headers || {} };
    unshift @lines, 'Upgrade: websocket', 'Connection: keep-alive, Upgrade',
        'Sec-WebSocket-Version: ' . ($o{version} // 13),
        "Sec-WebSocket-Key: $key",
        map { "Sec-WebSocket-Protocol: $_" }
            defined $o{protocol} ? $o{protocol} : () unless $o{raw};

    my $self = bless { sock => $sock, in => '', out => '', state => {},
        pongs => 0, wire => '', t0 => time }, $class;
    $self->{out} = join "\r\n", "GET $path HTTP/1.1", 'Host: localhost', @lines,
        '', $o{early} // '';

    $self->_until(sub { $self->_head }, $o{timeout} || 10);
    $self->{accepted} = $self->status == 101
        && ($self->header('sec-websocket-accept') // '') eq accept_of($key);
    return $self;
}

sub _head {
    my ($self) = @_;
    my $end = index $self->{in}, "\r\n\r\n";
    return if $end < 0;

    my ($line, @lines) = split /\r\n/, substr $self->{in}, 0, $end + 4, '';
    ($self->{status}) = $line =~ m{^HTTP/1\.1 (\d{3})};
    for (@lines) {
        push @{ $self->{h}{ lc $1 } }, $2 if /^([^:]+):\s*(.*)$/;
    }
    return 1;
}

sub status { $_[0]{status} // 0 }
sub open   { $_[0]{accepted} ? 1 : 0 }
sub header { my $l = $_[0]{h}{ lc $_[1] } or return undef; return join ', ', @$l }
sub wire   { $_[0]{wire} }
sub pongs  { $_[0]{pongs} }

# of a refusal
sub body {
    my ($self) = @_;
    my $length = $self->header('content-length') // 0;
    $self->_until(sub { length $self->{in} >= $length }, 5);
    return substr $self->{in}, 0, $length;
}


# move bytes until that is true, the end, or the time is over
sub _until {
    my ($self, $check, $timeout) = @_;
    my $end = time + ($timeout || 5) * $SLOW;

    for ( ;; ) {
        my $value = $check->();
        return $value if $value;
        return if $self->{end} || time > $end;

        my $poll = IO::Poll->new;
        $poll->mask($self->{sock} => POLLIN | (length $self->{out} ? POLLOUT : 0));
        $poll->poll(0.05);

        if (length $self->{out} && $poll->events($self->{sock}) & POLLOUT) {
            my $n = syswrite $self->{sock}, $self->{out};
            substr $self->{out}, 0, $n, '' if $n;
            $self->{end} = 'reset' if !defined $n && !$!{EAGAIN};
        }
        next unless $poll->events($self->{sock}) & ~POLLOUT;

        my $n = sysread $self->{sock}, my $data, 262144;
        if (defined $n && $n == 0) {
            $self->{end} = 'eof';
        } elsif (!defined $n) {
            $self->{end} = 'reset' unless $!{EAGAIN} || $!{EINTR};
        } else {
            $self->{in} .= $data;
            $self->{wire} .= $data;
        }
        $self->{t_end} = time if $self->{end};
    }
}

sub flush { my ($self) = @_; return $self->_until(sub { !length $self->{out} }, $_[1]) }

sub say {
    my ($self, $payload, %o) = @_;
    $self->{out} .= message($o{binary} ? 'binary' : 'text', $payload, mask => 1, %o);
    return $self->flush;
}

sub ping { my ($self, $p) = @_; $self->{out} .= frame($code{ping}, $p, mask => 1); $self->flush }
sub send_raw { my ($self, $bytes) = @_; $self->{out} .= $bytes; $self->flush }
sub command { my ($self, @words) = @_; return $self->say("!@words") }

# the next message's payload; close and pong are noted
sub hear {
    my ($self, $timeout) = @_;
    my $got;

    $self->_until(sub {
        while (my $m = take_message(\$self->{in}, $self->{state})) {
            my ($kind, $payload) = @$m;
            if ($kind eq 'pong') {
                $self->{pongs}++;
            } elsif ($kind eq 'close') {
                $self->{close} = length $payload >= 2 ? unpack 'n', $payload : 1005;
            } elsif ($kind ne 'ping') {
                $self->{kind} = $kind;
                $got = $payload;
                return 1;
            } else {
                $self->{pings}++;
            }
        }
        return defined $self->{close};
    }, $timeout);

    return $got;
}

sub ask { my ($self, $text, %o) = @_; $self->say($text, %o); return $self->hear($o{timeout}) }

# say so and wait for the end
sub close {
    my ($self, $code) = @_;
    $self->{out} .= frame($code{close}, pack('n', $code || 1000), mask => 1);
    return $self->ended;
}

# how it ended: "close CODE" (the server said so), "eof", "reset"; undef: not
sub ended {
    my ($self, $timeout) = @_;
    $self->hear($timeout);
    $self->_until(sub { 0 }, $timeout || 5) unless $self->{end};
    return defined $self->{close} ? "close $self->{close}" : $self->{end};
}

sub took { ($_[0]{t_end} // time) - $_[0]{t0} }

sub hang_up {
    my ($self, $how) = @_;
    setsockopt $self->{sock}, SOL_SOCKET, SO_LINGER, pack 'ii', 1, 0
        if ($how // '') eq 'hard';
    CORE::close $self->{sock};
}

1;
