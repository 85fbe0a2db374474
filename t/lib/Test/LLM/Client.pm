package Test::LLM::Client;

# An HTTP/1.1 client that sees what happens on the wire: which bytes came when,
# whether the answer was framed to its end, how the connection closed.  Many
# requests run at once in one process, over non-blocking sockets.
#
#   my $c = Test::LLM::Client->start(port => $p, method => 'POST',
#       path => '/', headers => { ... } or [ k => v, ... ], body => $bytes);
#   Test::LLM::Client::run($timeout, $c, ...);
#   $c->status, $c->header('x'), $c->body, $c->json, $c->complete, $c->error
#
# More options of start(): raw => $bytes (sent as they are), chunked => 1,
# body_rate => [ N, ms ], hold => N (only the first N bytes of the request, the
# rest by send_rest), keep => 1 (no "Connection: close"), version => '1.0'.

use strict;
use warnings;

use Errno qw(EAGAIN EINPROGRESS EINTR EWOULDBLOCK);
use IO::Poll qw(POLLIN POLLOUT POLLERR POLLHUP);
use IO::Socket::INET;
use JSON::PP ();
use Socket qw(SOL_SOCKET SO_LINGER SO_RCVBUF IPPROTO_TCP TCP_NODELAY);
use Time::HiRes qw(time);

our $SLOW = $ENV{LLM_TEST_SLOW} || 1;
our @ON_END;                            # called with each client that ended


sub start {
    my ($class, %o) = @_;

    my $sock = $o{sock} || IO::Socket::INET->new(
        PeerAddr => '127.0.0.1', PeerPort => $o{port}, Proto => 'tcp',
    );
    my $self = bless {
        sock => $sock, raw => '', body => '', pieces => [], t0 => time,
        out => '', method => $o{method} || 'GET', on_piece => $o{on_piece},
    }, $class;

    if (!$sock) {
        $self->{error} = "connect: $!";
        $self->{done} = 1;
        return $self;
    }

    setsockopt $sock, IPPROTO_TCP, TCP_NODELAY, 1;
    setsockopt $sock, SOL_SOCKET, SO_RCVBUF, $o{rcvbuf} if $o{rcvbuf};
    $sock->blocking(0);
    $self->{out} = _request(%o);

    if (defined $o{hold}) {
        $self->{rest} = substr $self->{out}, $o{hold};
        $self->{out} = substr $self->{out}, 0, $o{hold};
    }
    if ($o{body_rate}) {
        $self->{rate} = $o{body_rate};
    }
    $self->_write if length $self->{out};

    return $self;
}


sub _request {
    my (%o) = @_;

    return $o{raw} if defined $o{raw};

    my @h = ref $o{headers} eq 'HASH' ? %{ $o{headers} } : @{ $o{headers} || [] };
    my %have;
    for (my $i = 0; $i < @h; $i += 2) {
        $have{ lc $h[$i] } = 1;
    }

    my $body = $o{body};
    if (ref $body) {
        $body = JSON::PP->new->utf8->canonical->encode($body);
    }
    if (defined $body && !$have{'content-type'}) {
        push @h, 'Content-Type', 'application/json';
    }
    if ($o{chunked}) {
        push @h, 'Transfer-Encoding', 'chunked';
        $body = join '', map { sprintf "%x\r\n%s\r\n", length $_, $_ }
            unpack('(a65536)*', $body), '';
    } elsif (defined $body && !$have{'content-length'}) {
        push @h, 'Content-Length', length $body;
    }

    unshift @h, 'Host', 'localhost' unless $have{host};
    push @h, 'Connection', 'close' unless $o{keep} || $have{connection};

    my $head = ($o{method} || 'GET') . " $o{path} HTTP/" . ($o{version} || '1.1')
        . "\r\n";
    while (my ($k, $v) = splice @h, 0, 2) {
        $head .= "$k: $v\r\n";
    }

    return "$head\r\n" . ($body // '');
}


# Drive the clients until all are done, or $until->() is true, or the time is
# over: then those that are not done get the error "timeout".
sub run {
    my ($timeout, @clients) = @_;
    my $until = ref $clients[-1] eq 'CODE' ? pop @clients : undef;
    my $end = time + $timeout * $SLOW;

    for ( ;; ) {
        my @open = grep { !$_->{done} } @clients;
        return 1 if !@open || ($until && $until->());

        my $left = $end - time;
        if ($left <= 0) {
            $_->{error} //= 'timeout' for @open;
            return 0;
        }

        my $poll = IO::Poll->new;
        my $wait = $left < 0.05 ? $left : 0.05;
        for my $c (@open) {
            my $mask = $c->{deaf} ? 0 : POLLIN;
            $mask |= POLLOUT if length $c->{out}
                && (!$c->{next} || $c->{next} <= time);
            $poll->mask($c->{sock} => $mask);
        }
        $poll->poll($wait);

        for my $c (@open) {
            my $ev = $poll->events($c->{sock}) || 0;
            $c->_write if $ev & POLLOUT;
            $c->_read if $ev & (POLLIN | POLLHUP | POLLERR) && !$c->{deaf};
        }
    }
}


sub _write {
    my ($self) = @_;

    my $len = length $self->{out};
    if (my $r = $self->{rate}) {
        $len = $r->[0] if $len > $r->[0];
        $self->{next} = time + $r->[1] / 1000;
    }
    $len = 1 << 18 if $len > 1 << 18;

    my $n = syswrite $self->{sock}, $self->{out}, $len;
    if (defined $n) {
        substr $self->{out}, 0, $n, '';
        $self->{sent} += $n;
    } elsif (!($!{EAGAIN} || $!{EWOULDBLOCK} || $!{EINTR})) {
        $self->{write_error} = "$!";
        $self->{out} = '';                   # the answer may still be there
    }
}


sub _read {
    my ($self) = @_;

    my $n = sysread $self->{sock}, my $data, 262144;
    if (!defined $n) {
        return if $!{EAGAIN} || $!{EWOULDBLOCK} || $!{EINTR};
        return $self->_end($!{ECONNRESET} ? 'reset' : "read: $!");
    }
    if ($n == 0) {
        if ($self->{head} && !defined $self->{length} && !$self->{chunked}) {
            $self->{complete} = 1;
        }
        # a reset met while sending leaves a plain end for reading
        return $self->_end($self->{complete} ? undef
            : $self->{write_error} ? 'reset' : 'closed');
    }

    $self->{t_first} //= time;
    $self->{wire} .= $data;
    $self->{raw} .= $data;
    $self->_parse;
    $self->_end(undef) if $self->{complete};
}


sub _end {
    my ($self, $error) = @_;
    $self->{error} = $error if $error;
    $self->{t_end} = time;
    $self->{done} = 1;
    close $self->{sock} unless $self->{keep_open};
    $_->($self) for @ON_END;
}


sub _parse {
    my ($self) = @_;

    while (!$self->{head}) {
        my $end = index $self->{raw}, "\r\n\r\n";
        return if $end < 0;
        my $head = substr $self->{raw}, 0, $end + 4, '';
        my ($line, @lines) = split /\r\n/, $head;
        my ($status, $reason) = $line =~ m{^HTTP/1\.[01] (\d{3}) ?(.*)};

        if (!defined $status) {
            $self->{raw} = $head . $self->{raw};
            return $self->_end('not http');
        }
        if ($status < 200) {
            push @{ $self->{interim} }, $status;
            next;
        }

        $self->{head} = $head;
        $self->{status} = $status;
        $self->{reason} = $reason;
        for (@lines) {
            my ($k, $v) = /^([^:]+):\s*(.*)$/ or next;
            push @{ $self->{h}{ lc $k } }, $v;
        }
        $self->{chunked} = ($self->header('transfer-encoding') // '') =~ /chunked/;
        $self->{length} = $self->header('content-length');
        $self->{length} = 0
            if $self->{method} eq 'HEAD' || $status == 204 || $status == 304;
    }

    if ($self->{chunked}) {
        $self->_dechunk;
    } else {
        my $data = $self->{raw};
        $self->{raw} = '';
        $self->_piece($data) if length $data;
        $self->{complete} = 1 if defined $self->{length}
            && length $self->{body} >= $self->{length};
    }
}


sub _dechunk {
    my ($self) = @_;
    my $got = '';

    while ($self->{raw} =~ /^([0-9a-fA-F]+)[^\r\n]*\r\n/) {
        my ($size, $skip) = (hex $1, $+[0]);
        last if length $self->{raw} < $skip + $size + 2;
        $got .= substr $self->{raw}, $skip, $size;
        substr $self->{raw}, 0, $skip + $size + 2, '';
        if ($size == 0) {
            $self->{complete} = 1;
            last;
        }
    }
    $self->_piece($got) if length $got;
}


sub _piece {
    my ($self, $data) = @_;
    $self->{body} .= $data;
    push @{ $self->{pieces} }, [ time, length $self->{body} ];
    $self->{on_piece}->($self, $data) if $self->{on_piece};
}


# ---- what a test asks -------------------------------------------------------

sub status   { $_[0]{status} // 0 }
sub body     { $_[0]{body} }
sub complete { $_[0]{complete} ? 1 : 0 }
sub error    { $_[0]{error} }
sub head     { $_[0]{head} // '' }
sub took     { ($_[0]{t_end} // time) - $_[0]{t0} }
sub ttfb     { defined $_[0]{t_first} ? $_[0]{t_first} - $_[0]{t0} : undef }
sub pieces   { @{ $_[0]{pieces} } }

# every byte that came, as it came
sub wire { $_[0]{wire} // '' }

sub header {
    my ($self, $name) = @_;
    my $list = $self->{h}{ lc $name } or return undef;
    return join ', ', @$list;
}

sub json {
    my ($self) = @_;
    return scalar eval { JSON::PP->new->utf8->decode($self->{body}) };
}

# the rest of a request started with hold
sub send_rest {
    my ($self, $n) = @_;
    $self->{out} .= defined $n ? substr($self->{rest}, 0, $n, '')
                               : delete $self->{rest};
}

sub send_raw { $_[0]{out} .= $_[1] }

# stop reading, but stay connected; and go on
sub deaf { $_[0]{deaf} = $_[1] // 1 }

# go away: FIN by default, a reset with hard
sub abort {
    my ($self, $how) = @_;
    if (($how // '') eq 'hard') {
        setsockopt $self->{sock}, SOL_SOCKET, SO_LINGER, pack 'ii', 1, 0;
    }
    $self->_end('aborted') unless $self->{done};
    close $self->{sock};
}

1;
