package Test::LLM::Faults;

# What happens to nodes and their Redis while they serve.
#
#   my $faults = Test::LLM::Faults->new(nodes => $nodes, redis => $redis,
#       replica => $replica, load => $load or [ .. ], note => sub { .. });
#   $faults->run('stop');               returns when it is over
#   $faults->names                      all that this world can have
#   $faults->joins                      our times at which a node began anew:
#                                       what it may use then is the bound
#
#   stop, stop_long     Redis gets SIGSTOP for 1 s, 10 s
#   restart             it is killed, and back a second later without its data
#   flush               FLUSHALL
#   failover            a replica takes its place that missed the last writes
#   drop                one reply in twenty is lost, others come late or twice
#   partition           one node is cut off from Redis
#   split               two nodes are cut off from Redis
#   kill                SIGKILL of a worker
#   reload              of one node
#   clock               one node's clock is five minutes ahead, then behind
#   come, go            a node more; it leaves again
#   reboot              a node ends and starts again, with its state file
#
# Times are of the nodes' clock.  The load is told who is there.

use strict;
use warnings;

use Time::HiRes qw(time);

my @NAMES = qw(stop stop_long restart flush failover drop partition split kill
               reload clock come go reboot);


sub new {
    my ($class, %o) = @_;
    my $self = bless { joins => [], %o }, $class;
    $self->{note} ||= sub { };
    return $self;
}


sub names {
    my ($self) = @_;
    my %not = (
        $self->{replica} ? () : (failover => 1),
        $self->{nodes}{clock} ? () : (clock => 1),
        $self->{nodes}{proxies} ? ()
            : (map { $_ => 1 } qw(failover drop partition split)),
    );
    return grep { !$not{$_} } @NAMES;
}

sub joins { @{ $_[0]{joins} } }


sub run {
    my ($self, $name) = @_;
    my $method = "do_$name";
    my $began = time;

    $self->{note}->($name);
    $self->$method;
    return time - $began;
}


# the loads send to those that are there
sub _tell {
    my ($self) = @_;
    my $load = $self->{load};
    $_->to($self->{nodes}->to) for ref $load eq 'ARRAY' ? @$load : $load;
}

# so many seconds of the nodes' clock
sub _wait {
    my ($self, $seconds) = @_;
    my $clock = $self->{nodes}{clock};
    select undef, undef, undef, $clock ? $clock->real($seconds) : $seconds;
}

# one of the nodes that are always there
sub _one {
    my ($self) = @_;
    return int rand $self->{nodes}{n};
}


sub do_stop      { $_[0]->_stopped(1) }
sub do_stop_long { $_[0]->_stopped(10) }

sub _stopped {
    my ($self, $seconds) = @_;
    $self->{redis}->pause;
    $self->_wait($seconds);
    $self->{redis}->resume;
}

sub do_restart {
    my ($self) = @_;
    $self->{redis}->kill_hard;
    $self->_wait(1);
    $self->{redis}->start;
}

sub do_flush { $_[0]{redis}->flush }


# The replica becomes the primary without the writes of the last moment, and
# the old primary comes back as the replica of the new one.
sub do_failover {
    my ($self) = @_;
    my ($old, $new) = @$self{qw(redis replica)};

    $new->promote;
    $self->_wait(0.5);
    $old->kill_hard;
    $_->target($new), $_->close_all for $self->{nodes}->proxies;
    @$self{qw(redis replica)} = ($new, $old);
    $self->{nodes}{redis} = $new;

    $self->_wait(2);
    $old->{replica_of} = $new;
    delete $new->{replica_of};
    $old->start;
    $old->synced;
}


sub do_drop {
    my ($self) = @_;
    my @proxies = $self->{nodes}->proxies;

    $_->set(drop => 0.05, repeat => 0.05, late => [ 0.05, 300 ],
            delay => [ 0, 5 ]) for @proxies;
    $self->_wait(10);
    $_->set() for @proxies;
}

sub do_partition { $_[0]->_cut($_[0]->_one) }

sub do_split {
    my ($self) = @_;
    my $not = $self->_one;
    $self->_cut(grep { $_ != $not } 0 .. $self->{nodes}{n} - 1);
}

sub _cut {
    my ($self, @nodes) = @_;
    my @proxies = map { $self->{nodes}->proxy($_) } @nodes;
    my $how = rand() < 0.5 ? 'silent' : 'refuse';

    $_->set(cut => $how) for @proxies;
    $self->_wait(10);
    $_->set() for @proxies;
}


sub do_kill   { my ($s) = @_; $s->{nodes}->kill_worker($s->_one) }
sub do_reload { my ($s) = @_; $s->{nodes}->reload($s->_one) }

sub do_clock {
    my ($self) = @_;
    my $i = $self->_one;

    for my $ms (300_000, -300_000, 0) {
        $self->{nodes}->clock($i, $ms);
        $self->_wait($ms ? 5 : 0);
    }
}


# It gets no requests before it is heard of: how long that may take is part of
# what a limit promises, so the moment is noted.
sub do_come {
    my ($self) = @_;
    my $nodes = $self->{nodes};

    push @{ $self->{joins} }, time;
    push @{ $self->{guests} }, $nodes->join_one;
    $self->_tell;
    $self->_wait(3);
}

sub do_go {
    my ($self) = @_;
    my $nodes = $self->{nodes};
    my $i = pop @{ $self->{guests} || [] };

    return unless defined $i;
    $nodes->out($i);
    $self->_tell;
    $self->_wait(0.5);
    $nodes->leave($i);
}

# It gets no requests before it is back.  What it used of a sliding window went
# with its zone, of a calendar window it is in its file.
sub do_reboot {
    my ($self) = @_;
    my $nodes = $self->{nodes};
    my $i = $self->_one;

    $nodes->out($i);
    $self->_tell;
    $self->_wait(0.5);
    $nodes->leave($i);
    push @{ $self->{joins} }, time;
    $nodes->back($i);
    $self->_tell;
}

1;
