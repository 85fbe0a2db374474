package Test::LLM::Judge;

# What a provider's log of arrivals says about limits.
#
#   my $judge = Test::LLM::Judge->new($provider->log);
#   my @wrong = $judge->sliding(window => 60, limit => 600, bound => 0);
#   my @wrong = $judge->calendar(window => 3600, limit => 100, by => 'client');
#   $judge->most(window => 60, by => 'client', of => 'tokens')   { a => 17, .. }
#   $judge->sum(of => 'tokens', by => 'client')                  { a => 940, .. }
#
# by: a field of the log (client, key, model), '' for all together; or a list of
# fields.  of: requests (default), tokens, input, output, money (with
# price => [ in, out ], nano-dollars a token).  slack => seconds is what an
# arrival may lag behind its admission: a window is judged that much shorter.
# skip => sub { .. } leaves out records (what was refunded, say).
#
# A refused request never arrives, so nothing here knows of refusals.

use strict;
use warnings;

use POSIX ();


sub new {
    my ($class, @log) = @_;
    return bless { log => [ sort { $a->{at} <=> $b->{at} } @log ] }, $class;
}

sub log { @{ $_[0]{log} } }


sub _amount {
    my ($r, %o) = @_;
    my $of = $o{of} || 'requests';

    return 1 if $of eq 'requests';
    return $r->{input} + $r->{output} if $of eq 'tokens';
    return $r->{input} * $o{price}[0] + $r->{output} * $o{price}[1] if $of eq 'money';
    return $r->{$of};
}

# records by group, in their order
sub _groups {
    my ($self, %o) = @_;
    my @by = ref $o{by} ? @{ $o{by} } : length($o{by} // '') ? ($o{by}) : ();
    my %groups;

    for my $r (@{ $self->{log} }) {
        next if $o{skip} && $o{skip}->($r);
        push @{ $groups{ join '/', map { $r->{$_} // '' } @by } }, $r;
    }
    return \%groups;
}


sub sum {
    my ($self, %o) = @_;
    my $groups = $self->_groups(%o);
    my %sum;

    for my $name (keys %$groups) {
        $sum{$name} += _amount($_, %o) for @{ $groups->{$name} };
    }
    return \%sum;
}


# the fullest window of this length, and when it began
sub fullest {
    my ($self, %o) = @_;
    my $groups = $self->_groups(%o);
    my $window = $o{window} - ($o{slack} // 0);
    my %most;

    for my $name (keys %$groups) {
        my ($have, $tail, $list) = (0, 0, $groups->{$name});
        $most{$name} = { n => 0, at => 0 };
        for my $r (@$list) {
            $have += _amount($r, %o);
            while ($list->[$tail]{at} <= $r->{at} - $window) {
                $have -= _amount($list->[$tail++], %o);
            }
            $most{$name} = { n => $have, at => $list->[$tail]{at} }
                if $have > $most{$name}{n};
        }
    }
    return \%most;
}

sub most {
    my ($self, %o) = @_;
    my $most = $self->fullest(%o);
    return { map { $_ => $most->{$_}{n} } keys %$most };
}


# windows that hold more than the limit and the bound: one line each
sub sliding {
    my ($self, %o) = @_;
    my $most = $self->fullest(slack => 0.3, %o);
    my $allowed = $o{limit} + ($o{bound} // 0);

    return map {
        my $m = $most->{$_};
        $m->{n} <= $allowed ? () : sprintf '%s: %s in %s s from %.2f, %s allowed',
            $_ eq '' ? 'all' : $_, $m->{n}, $o{window}, $m->{at}, $allowed;
    } sort keys %$most;
}


# Sums of calendar windows, by their begin; "at" shifts where they begin.  What
# arrived within "slack" after the turn may have been admitted before it: it is
# given to the window with more room.
sub windows {
    my ($self, %o) = @_;
    my $groups = $self->_groups(%o);
    my $slack = $o{slack} // 0.3;
    my %sum;

    for my $name (keys %$groups) {
        my %has;
        for my $r (@{ $groups->{$name} }) {
            my $now = _begin($r->{at}, %o);
            my $before = _begin($r->{at} - $slack, %o);
            $now = $before if $before != $now
                && ($has{$before} // 0) < ($has{$now} // 0);
            $has{$now} += _amount($r, %o);
        }
        $sum{$name} = \%has;
    }
    return \%sum;
}

sub _begin {
    my ($t, %o) = @_;
    my $at = $o{at} // 0;
    return POSIX::floor(($t - $at) / $o{window}) * $o{window} + $at;
}

sub calendar {
    my ($self, %o) = @_;
    my $sums = $self->windows(%o);
    my $allowed = $o{limit} + ($o{bound} // 0);
    my @wrong;

    for my $name (sort keys %$sums) {
        for my $at (sort { $a <=> $b } keys %{ $sums->{$name} }) {
            my $n = $sums->{$name}{$at};
            push @wrong, sprintf '%s: %s in the window from %d, %s allowed',
                $name eq '' ? 'all' : $name, $n, $at, $allowed if $n > $allowed;
        }
    }
    return @wrong;
}


# the value that this share of a list is not above
sub quantile {
    my ($share, @list) = @_;
    return 0 unless @list;
    my $at = POSIX::ceil($share * @list) - 1;
    return (sort { $a <=> $b } @list)[$at < 0 ? 0 : $at];
}

# what a client must see of each record: no answer lost, nothing but 200 and the
# refusals that are meant; one line for each kind of record that is not
sub strange {
    my ($records, @fine) = @_;
    my %fine = map { $_ => 1 } 200, @fine;
    my %odd;

    for my $r (@$records) {
        next if $fine{ $r->{status} };
        $odd{ "$r->{status} " . ($r->{code} // $r->{error} // '') }++;
    }
    return map { "$odd{$_} times $_" } sort keys %odd;
}

1;
