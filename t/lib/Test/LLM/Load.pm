package Test::LLM::Load;

# Requests at a steady pace, whatever becomes of them: an open loop over
# keep-alive connections, in a process of its own, so that the test can break
# things meanwhile.
#
#   my $load = Test::LLM::Load->new(seed => 3);
#   $load->start(
#       rate => 50, seconds => 20, count => 1000,   whichever ends first
#       to => [ { port => $p, weight => 2, name => 'n0' }, ... ],
#       as => [ { client => 'a', weight => 1, headers => { .. } }, ... ],
#       waves => [ 2, 30, 'w', { headers => { .. } } ],    instead of as: every
#                                       2 s one more client, w0, w1, .., each
#                                       for 30 s; {{client}} in headers is filled in
#       path => '/v1/chat/completions', model => 'm', body => { more members },
#       use => [ 50, 200, 10, 100 ],    input from 50 to 200, output 10 to 100
#       words => 'wait=20',             more words for the provider
#       timeout => 20, most => 400,     seconds; requests under way at most
#   );
#   $load->to($list); $load->rate($n); $load->halt;       at run time
#   my @records = $load->wait;          all of them, when the last one ended
#   $load->now                          { sent, done, ok, refused, failed }
#
# A record: { t, took, name, client, tag, status, code, input, output, error,
# reused, h => { x-ratelimit-.., retry-after, .. } }.  A request that met the
# end of an idle connection has reused and error set: the gateway had not read
# it, or its worker died.

use strict;
use warnings;
use base 'Test::LLM::Process';

use Errno qw(EAGAIN EINPROGRESS EINTR ENOTCONN EWOULDBLOCK);
use Fcntl ();
use JSON::PP ();
use Socket qw(PF_INET SOCK_STREAM INADDR_LOOPBACK pack_sockaddr_in
              IPPROTO_TCP TCP_NODELAY);
use Time::HiRes qw(time);


sub new {
    my ($class, %o) = @_;
    my $self = bless { seed => $o{seed} // int rand 1 << 30, conns => {},
        idle => {}, records => [], plan => undef, open => 0, n => 0 }, $class;
    return $self->launch;
}


# ---- called by the test -----------------------------------------------------

sub seed  { $_[0]{seed} }
sub start { my ($s, %plan) = @_; $s->call('start', \%plan); return $s }
sub to    { my ($s, $list) = @_; $s->call('to', $list) }
sub rate  { my ($s, $n) = @_; $s->call('rate', $n) }
sub halt  { $_[0]->call('halt') }
sub now   { $_[0]->call('now') }
sub done  { $_[0]->call('done') }

sub wait {
    my ($self, $timeout) = @_;
    my $end = time + ($timeout || 600);
    select undef, undef, undef, 0.02 while !$self->done && time < $end;
    return @{ $self->call('records') };
}


# ---- the child --------------------------------------------------------------

sub cmd_start {
    my ($self, $plan) = @_;
    $self->{plan} = { rate => 10, path => '/v1/chat/completions', model => 'm',
        use => [ 10, 10, 5, 5 ], as => [ { client => 'c' } ], timeout => 20,
        most => 400, %$plan };
    $self->{began} = $self->{next} = time;
    $self->{records} = [];
    $self->{sent} = 0;
    $self->{tally} = { ok => 0, refused => 0, failed => 0 };
    return 1;
}

sub cmd_to   { my ($s, $list) = @_; $s->{plan}{to} = $list; 1 }
sub cmd_rate { my ($s, $n) = @_; $s->{plan}{rate} = $n; $s->{next} = time; 1 }
sub cmd_halt { $_[0]{plan}{seconds} = 0; 1 }
sub cmd_done { my ($s) = @_; return !$s->_sending && !$s->{open} ? 1 : 0 }
sub cmd_now {
    my ($self) = @_;
    return { sent => $self->{sent} // 0, done => scalar @{ $self->{records} },
             %{ $self->{tally} || {} } };
}
sub cmd_records {
    my ($self) = @_;
    $self->_close($_) for values %{ $self->{conns} };
    my $records = $self->{records};
    $self->{records} = [];
    return $records;
}

sub _sending {
    my ($self) = @_;
    my $p = $self->{plan} or return 0;
    return 0 if defined $p->{count} && $self->{sent} >= $p->{count};
    return 0 if defined $p->{seconds} && time - $self->{began} >= $p->{seconds};
    return 1;
}


sub serve {
    my ($self) = @_;
    my $control = fileno $self->{control};
    srand $self->{seed};

    for ( ;; ) {
        my ($r, $w) = ('', '');
        my $wait = 0.2;

        vec($r, $control, 1) = 1;
        for my $c (values %{ $self->{conns} }) {
            vec($r, $c->{fd}, 1) = 1;
            vec($w, $c->{fd}, 1) = 1 if length $c->{out};
        }
        if ($self->_sending) {
            my $left = $self->{next} - time;
            $wait = $left < 0 ? 0 : $left if $left < $wait;
        }
        my $n = select $r, $w, undef, $wait;
        ($r, $w) = ('', '') if $n < 0;

        if (vec $r, $control, 1) {
            return unless $self->answer;
        }
        for my $c (values %{ $self->{conns} }) {
            $self->_write($c) if vec $w, $c->{fd}, 1;
            $self->_read($c) if !$c->{closed} && vec $r, $c->{fd}, 1;
        }
        $self->_send_due;
        $self->_late;
    }
}


sub _send_due {
    my ($self) = @_;
    my $p = $self->{plan} or return;

    # after a pause of the machine, what is due is not sent all at once
    my $now = time;
    $self->{next} = $now - 0.1 if $self->{next} < $now - 0.1;

    while ($self->_sending && $self->{next} <= $now) {
        $self->{next} += (0.5 + rand) / $p->{rate};
        next if $self->{open} >= $p->{most};
        $self->_send($p);
    }
}

sub _pick {
    my ($list) = @_;
    my $all = 0;
    $all += $_->{weight} // 1 for @$list;
    my $at = rand $all;
    for (@$list) { return $_ if ($at -= $_->{weight} // 1) < 0 }
    return $list->[-1];
}

# one of the clients whose time it is
sub _wave {
    my ($self, $p) = @_;
    my ($every, $for, $name, $more) = @{ $p->{waves} };
    my $t = time - $self->{began};
    my $newest = int $t / $every;
    my $oldest = int(($t - $for) / $every) + 1;
    $oldest = 0 if $t < $for;
    my $client = $name . ($oldest + int rand $newest - $oldest + 1);
    my $headers = $more->{headers} || {};

    return { %{ $more || {} }, client => $client, headers => {
        map { $_ => $headers->{$_} =~ s/\{\{client\}\}/$client/r } keys %$headers } };
}

sub _send {
    my ($self, $p) = @_;
    my $to = _pick($p->{to});
    my $as = $p->{waves} ? $self->_wave($p) : _pick($p->{as});
    my ($a, $b, $x, $y) = @{ $p->{use} };
    my $n = ++$self->{n};
    my $record = { t => time, name => $to->{name} // $to->{port},
        client => $as->{client}, tag => "$as->{client}.$n", status => 0,
        input => $a + int rand $b - $a + 1, output => $x + int rand $y - $x + 1 };

    my $body = $self->_body($p, $as, $record);
    my %headers = ('Content-Type' => 'application/json', %{ $as->{headers} || {} });
    my $bytes = "POST $p->{path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: "
        . length($body) . "\r\n" . join('', map { "$_: $headers{$_}\r\n" }
        sort keys %headers) . "\r\n$body";

    $self->{sent}++;
    $self->{open}++;
    my $c = $self->_connection($to->{port});
    $c->{record} = $record;
    $c->{began} = time;
    $record->{reused} = 1 if $c->{used}++;
    return $self->_end($c, "connect: $c->{closed}") if $c->{closed};
    $c->{out} = $bytes;
    $self->_write($c);
}

# As many bytes as there are input tokens, times three and a bit: what a gateway
# guesses of a prompt is then not far off.
sub _body {
    my ($self, $p, $as, $record) = @_;
    my $words = "tag=$record->{tag} use=$record->{input}/$record->{output}";

    $words .= " $p->{words}" if $p->{words};
    my $more = $record->{input} * 3 - length $words;
    $words .= ' ' . 'x' x $more if $more > 0;
    my $json = $self->{json} ||= JSON::PP->new->utf8->canonical;
    return $json->encode({ model => $as->{model} // $p->{model},
        messages => [ { role => 'user', content => $words } ],
        %{ $p->{body} || {} }, %{ $as->{body} || {} } });
}


sub _connection {
    my ($self, $port) = @_;

    while (my $c = pop @{ $self->{idle}{$port} }) {
        return $c unless $c->{closed};
    }
    socket my $sock, PF_INET, SOCK_STREAM, IPPROTO_TCP or die "socket: $!";
    my $flags = fcntl $sock, Fcntl::F_GETFL(), 0;
    fcntl $sock, Fcntl::F_SETFL(), $flags | Fcntl::O_NONBLOCK();
    setsockopt $sock, IPPROTO_TCP, TCP_NODELAY, 1;

    my $fd = fileno $sock;
    my $c = { fd => $fd, sock => $sock, port => $port, out => '', in => '' };
    if (!connect($sock, pack_sockaddr_in($port, INADDR_LOOPBACK)) && !$!{EINPROGRESS}) {
        $c->{closed} = "$!";
        return $c;
    }
    return $self->{conns}{$fd} = $c;
}

sub _close {
    my ($self, $c) = @_;
    delete $self->{conns}{ $c->{fd} };
    $c->{closed} = 1;
    close $c->{sock};
}

sub _write {
    my ($self, $c) = @_;
    my $n = syswrite $c->{sock}, $c->{out};
    if (!defined $n) {
        return if $!{EAGAIN} || $!{EWOULDBLOCK} || $!{EINTR} || $!{ENOTCONN};
        return $self->_end($c, "write: $!");
    }
    substr $c->{out}, 0, $n, '';
}

sub _read {
    my ($self, $c) = @_;
    my $n = sysread $c->{sock}, $c->{in}, 65536, length $c->{in};
    return if !defined $n && ($!{EAGAIN} || $!{EWOULDBLOCK} || $!{EINTR});
    return $self->_end($c, $n ? undef : defined $n ? 'closed' : "read: $!") if !$n;

    my $end = index $c->{in}, "\r\n\r\n";
    return if $end < 0;
    my $head = substr $c->{in}, 0, $end + 2;
    my $body = substr $c->{in}, $end + 4;
    if ($head =~ /^transfer-encoding:\s*chunked/im) {
        return unless $body =~ /(?:^|\r\n)0\r\n\r\n\z/;
    } elsif ($head =~ /^content-length:\s*(\d+)/im) {
        return if length $body < $1;
    }
    return $self->_end($c, undef, $head, $body);
}

sub _end {
    my ($self, $c, $error, $head, $body) = @_;
    my $r = delete $c->{record};

    if ($r) {
        $r->{took} = time - $r->{t};
        $r->{error} = $error if defined $error;
        _answered($r, $head, $body) if defined $head;
        my $s = $r->{status};
        $self->{tally}{ $s == 200 ? 'ok' : $s == 429 ? 'refused' : 'failed' }++;
        push @{ $self->{records} }, $r;
        $self->{open}--;
    }
    if (defined $error || !defined $head || $head =~ /^connection:\s*close/im) {
        return $self->_close($c);
    }
    $c->{in} = '';
    push @{ $self->{idle}{ $c->{port} } }, $c;
}

sub _answered {
    my ($r, $head, $body) = @_;
    ($r->{status}) = $head =~ m{^HTTP/1\.1 (\d+)};
    ($r->{code}) = $body =~ /"code"\s*:\s*"([^"]*)"/ if $r->{status} >= 400;
    while ($head =~ /^(x-ratelimit-[\w-]+|retry-after|x-should-retry|x-llm-[\w-]+):\s*(.*?)\r?$/img) {
        $r->{h}{ lc $1 } = $2;
    }
}

# requests that nobody answers
sub _late {
    my ($self) = @_;
    my $p = $self->{plan} or return;
    my $before = time - $p->{timeout};
    return if time < ($self->{looked} // 0) + 0.5;
    $self->{looked} = time;
    $self->_end($_, 'timeout')
        for grep { $_->{record} && $_->{began} < $before } values %{ $self->{conns} };
}

1;
