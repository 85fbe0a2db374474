package Test::LLM::RespProxy;

# A bad network between nginx and Redis: a proxy in its own process.
#
#   my $proxy = Test::LLM::RespProxy->new(redis => $redis, seed => 7);
#   $proxy->port
#   $proxy->set(drop => 0.05);          faults from now on; set() ends them all
#
#   drop => P       the command is executed, its reply lost with the connection
#   mute => P       the same, but the connection only falls silent
#   repeat => P     the command is executed twice, one reply is delivered
#   late => [P, MS] the command is executed again up to MS later, by then stale
#   delay => [A, B] replies come A to B milliseconds late, in their order
#   tear => MS      replies come byte by byte, MS between them
#   cut => 'silent' nothing passes and nothing closes (a partition)
#   cut => 'refuse' connections are closed, and new ones at once
#   names => [..]   drop, mute, repeat and late take these commands only
#   conn => N       all of it for the N-th connection only
#
#   $proxy->count                       { commands, replies, dropped, muted,
#                                         repeated, late, connections }
#   $proxy->names                       { EVALSHA => 3, ... } as seen
#   $proxy->close_all
#
# P is a share of 1, decided by a generator of the proxy's own: the same seed
# makes the same decisions.  raw => 1 passes bytes that are no RESP (TLS): then
# only delay, tear and cut work.

use strict;
use warnings;
use base 'Test::LLM::Process';

use Errno qw(EAGAIN EINTR EWOULDBLOCK);
use IO::Poll qw(POLLIN POLLOUT POLLERR POLLHUP);
use IO::Socket::INET;
use Socket qw(IPPROTO_TCP TCP_NODELAY SOMAXCONN);
use Time::HiRes qw(time);

use Test::LLM::Resp;


sub new {
    my ($class, %o) = @_;

    my $listen = IO::Socket::INET->new(LocalAddr => '127.0.0.1',
        LocalPort => $o{port} || 0, Proto => 'tcp', Listen => SOMAXCONN,
        ReuseAddr => 1) or die "listen: $!";
    $listen->blocking(0);

    my $self = bless {
        listen => $listen, port => $listen->sockport, raw => $o{raw},
        target => $o{target} || $o{redis}->port, fault => {}, conns => {},
        count => {}, seen => {}, n => 0, later => [],
        seed => $o{seed} // int rand 1 << 31,
    }, $class;
    $self->{state} = $self->{seed} + 1;

    $self->launch;
    close $listen;
    return $self;
}


# ---- called by the test -----------------------------------------------------

sub port  { $_[0]{port} }
sub seed  { $_[0]{seed} }
sub set   { my ($s, %f) = @_; $s->call('set', \%f) }
sub names { $_[0]->call('names') }
sub close_all { $_[0]->call('close_all') }

# another server from now on, for new connections
sub target { my ($s, $redis) = @_; $s->call('target', $redis->port) }

sub count {
    my ($self) = @_;
    return { map({ $_ => 0 } qw(commands replies dropped muted repeated late
                                connections)), %{ $self->call('count') } };
}


# ---- the child --------------------------------------------------------------

sub cmd_set    { my ($s, $f) = @_; $s->{fault} = $f; $s->_refuse; 1 }
sub cmd_count  { $_[0]{count} }
sub cmd_names  { $_[0]{seen} }
sub cmd_target { my ($s, $port) = @_; $s->{target} = $port; 1 }

sub cmd_close_all {
    my ($self) = @_;
    $self->_drop($_) for values %{ $self->{conns} };
    return 1;
}

sub _refuse {
    my ($self) = @_;
    return if ($self->{fault}{cut} // '') ne 'refuse';
    $self->_drop($_) for grep { $self->_meant($_) } values %{ $self->{conns} };
}

# whether the faults are about this connection
sub _meant {
    my ($self, $c) = @_;
    my $n = $self->{fault}{conn};
    return !defined $n || $n == $c->{n};
}

# a share of the decisions is yes; xorshift, so that the seed says it all
sub _dice {
    my ($self, $kind, $c, $name) = @_;
    my $share = $self->{fault}{$kind} or return 0;
    my $names = $self->{fault}{names};

    return 0 if !$self->_meant($c);
    return 0 if $names && !grep { $_ eq $name } @$names;
    $share = $share->[0] if ref $share;
    return $self->_random < $share;
}

sub _random {
    my ($self) = @_;
    my $x = $self->{state};
    $x ^= ($x << 13) & 0xffffffff;
    $x ^= $x >> 17;
    $x ^= ($x << 5) & 0xffffffff;
    $self->{state} = $x || 1;
    return $x / 2 ** 32;
}


sub serve {
    my ($self) = @_;

    for ( ;; ) {
        my ($poll, $wait) = $self->_interest;

        $poll->poll($wait);
        if ($poll->events($self->{control})) {
            return unless $self->answer;
        }
        $self->_accept if $poll->events($self->{listen});

        for my $c (values %{ $self->{conns} }) {
            next if $self->_is_silent($c);
            $self->_ready($c, $poll->events($c->{client}) || 0, 'client')
                && $self->_ready($c, $poll->events($c->{server}) || 0, 'server')
                && $self->_flush($c);
        }
        $self->_run_late;
    }
}

sub _is_silent {
    my ($self, $c) = @_;
    return ($self->{fault}{cut} // '') eq 'silent' && $self->_meant($c);
}

sub _interest {
    my ($self) = @_;
    my $poll = IO::Poll->new;
    my $now = time;
    my $wait = 5;
    my $sooner = sub { my $left = $_[0] - $now;
                       $left = 0 if $left < 0; $wait = $left if $left < $wait };

    $poll->mask($self->{control} => POLLIN);
    $poll->mask($self->{listen} => POLLIN);

    for my $c (values %{ $self->{conns} }) {
        next if $self->_is_silent($c);
        $poll->mask($c->{client} => POLLIN | ($c->{blocked} ? POLLOUT : 0));
        $poll->mask($c->{server} => POLLIN
                    | (length $c->{to_server} ? POLLOUT : 0));
        $sooner->($c->{to_client}[0][0])
            if @{ $c->{to_client} } && !$c->{blocked};
    }
    $sooner->($self->{later}[0][0]) if @{ $self->{later} };

    return ($poll, $wait);
}


sub _accept {
    my ($self) = @_;

    while (my $client = $self->{listen}->accept) {
        my $server = ($self->{fault}{cut} // '') eq 'refuse'
            && !defined $self->{fault}{conn} ? undef
            : IO::Socket::INET->new(PeerAddr => '127.0.0.1',
                PeerPort => $self->{target}, Proto => 'tcp', Timeout => 1);
        if (!$server) {
            close $client;
            next;
        }
        for ($client, $server) {
            $_->blocking(0);
            setsockopt $_, IPPROTO_TCP, TCP_NODELAY, 1;
        }
        my $n = ++$self->{n};
        $self->{count}{connections}++;
        $self->{conns}{$n} = { n => $n, client => $client, server => $server,
            from_client => '', from_server => '', to_server => '',
            to_client => [], waiting => [], due => 0 };
    }
}

sub _drop {
    my ($self, $c) = @_;
    delete $self->{conns}{ $c->{n} } or return;
    close $c->{client};
    close $c->{server};
}


# bytes from one side; false when the connection is gone
sub _ready {
    my ($self, $c, $events, $side) = @_;

    return 1 unless $events & (POLLIN | POLLHUP | POLLERR);
    my $n = sysread $c->{$side}, my $data, 65536;
    return 1 if !defined $n && ($!{EAGAIN} || $!{EWOULDBLOCK} || $!{EINTR});
    if (!$n) {
        # what was read before the end is delivered, tears and delays apart
        $self->_flush($c, 1) if $side eq 'server';
        $self->_drop($c);
        return 0;
    }

    $c->{"from_$side"} .= $data;
    return $side eq 'client' ? $self->_commands($c) : $self->_replies($c);
}

sub _commands {
    my ($self, $c) = @_;

    if ($self->{raw}) {
        $c->{to_server} .= $c->{from_client};
        $c->{from_client} = '';
        return 1;
    }

    while (my $command = Test::LLM::Resp::decode(\$c->{from_client})) {
        my @words = @{ $command->[0] };
        my $name = uc $words[0];
        my $bytes = Test::LLM::Resp::encode(@words);

        $self->{count}{commands}++;
        $self->{seen}{$name}++;
        $c->{to_server} .= $bytes;
        push @{ $c->{waiting} }, { name => $name };
        $c->{subscriber} = 1 if $name =~ /SUBSCRIBE/;

        if ($self->_dice('repeat', $c, $name) && !$c->{subscriber}) {
            $c->{to_server} .= $bytes;
            push @{ $c->{waiting} }, { name => $name, twin => 1 };
            $self->{count}{repeated}++;
        }
        if ($self->_dice('late', $c, $name) && !$c->{subscriber}) {
            my $at = time + $self->{fault}{late}[1] / 1000 * $self->_random;
            @{ $self->{later} } = sort { $a->[0] <=> $b->[0] }
                @{ $self->{later} }, [ $at, $bytes ];
        }
    }
    return 1;
}

sub _replies {
    my ($self, $c) = @_;

    if ($self->{raw}) {
        $self->_deliver($c, $c->{from_server});
        $c->{from_server} = '';
        return 1;
    }

    while (defined(my $bytes = $self->_one_reply($c))) {
        my $for = shift @{ $c->{waiting} } || { name => 'MESSAGE' };

        next if $for->{twin} || $c->{muted};
        $self->{count}{replies}++;
        if ($self->_dice('drop', $c, $for->{name})) {
            $self->{count}{dropped}++;
            $self->_flush($c, 1);
            $self->_drop($c);
            return 0;
        }
        if ($self->_dice('mute', $c, $for->{name})) {
            $self->{count}{muted}++;
            $c->{muted} = 1;
            next;
        }
        $self->_deliver($c, $bytes);
    }
    return 1;
}

# the bytes of one whole reply
sub _one_reply {
    my ($self, $c) = @_;
    my $before = $c->{from_server};
    Test::LLM::Resp::decode(\$c->{from_server}) or return;
    return substr $before, 0, length($before) - length $c->{from_server};
}

# after the delay, in order, and torn if it must be
sub _deliver {
    my ($self, $c, $bytes) = @_;
    my $fault = $self->_meant($c) ? $self->{fault} : {};
    my $at = time;

    if (my $d = $fault->{delay}) {
        $at += ($d->[0] + ($d->[1] - $d->[0]) * $self->_random) / 1000;
    }
    $at = $c->{due} if $at < $c->{due};

    if (defined $fault->{tear}) {
        for my $byte (split //, $bytes) {
            push @{ $c->{to_client} }, [ $at, $byte ];
            $at += $fault->{tear} / 1000;
        }
    } else {
        push @{ $c->{to_client} }, [ $at, $bytes ];
    }
    $c->{due} = $at;
}

sub _flush {
    my ($self, $c, $all) = @_;

    if (length $c->{to_server}) {
        my $n = syswrite $c->{server}, $c->{to_server};
        return $self->_drop($c)
            if !defined $n && !($!{EAGAIN} || $!{EWOULDBLOCK} || $!{EINTR});
        substr $c->{to_server}, 0, $n, '' if $n;
    }

    $c->{blocked} = 0;
    my $now = time;
    while (my $piece = $c->{to_client}[0]) {
        last if !$all && $piece->[0] > $now;
        my $n = syswrite $c->{client}, $piece->[1];
        if (!defined $n) {
            return $self->_drop($c)
                unless $!{EAGAIN} || $!{EWOULDBLOCK} || $!{EINTR};
            $c->{blocked} = 1;
            last;
        }
        substr $piece->[1], 0, $n, '';
        shift @{ $c->{to_client} } unless length $piece->[1];
    }
    return 1;
}


# commands that were under way for long, each on a connection of its own
sub _run_late {
    my ($self) = @_;

    while (@{ $self->{later} } && $self->{later}[0][0] <= time) {
        my $bytes = (shift @{ $self->{later} })->[1];
        next if ($self->{fault}{cut} // '') ne '';
        my $conn = Test::LLM::Resp->connect($self->{target}, 0.2) or next;
        syswrite $conn->{sock}, $bytes;
        $conn->read_reply;
        $self->{count}{late}++;
    }
}

1;
