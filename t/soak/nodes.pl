#!/usr/bin/perl
#
# The soak test of shared limits: three nodes with four workers each, clients
# with every kind of limit, all over it, and at random whatever can happen to
# nodes and their Redis.  The provider's log is the judge.  Ends with status 1
# when a limit did not hold, or what was charged is not what was used.
#
#   make soak WORLD=nodes MINUTES=5 SEED=1 SCALE=4
#
# SCALE is how much faster time passes for the nodes and Redis.  The seed gives
# the same faults again, not the same moments.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Test::LLM ();
use Test::LLM::Fleet;

my $minutes = $ENV{MINUTES} || 5;
my $seed = $ENV{SEED} || 1 + int rand 1e6;
my $scale = $ENV{SCALE} || 4;
my $begin = Test::LLM::now();
my ($violations, %done) = (0);

# what a client may, how often clients come and for how long (seconds of the
# nodes), and how many ask how often (a second of ours)
my %KINDS = (
    minute => { lines => 'llm_limit per=$http_x_client 30r/m;', limit => 30, window => 60,
                waves => [ 40, 200 ], rate => 25 },
    tokens => { lines => 'llm_limit per=$http_x_client 6000t/m;', limit => 6000, window => 60,
                of => 'tokens', waves => [ 40, 200 ], rate => 25 },
    day    => { lines => 'llm_limit per=$http_x_client 50r/d clock=calendar;', limit => 50,
                window => 86400, waves => [ 15, 60 ], rate => 25 },
    budget => { lines => 'llm_budget per=$http_x_client 0.01usd/d refuse;', limit => 10_000_000,
                window => 86400, of => 'money', price => [ 1000, 3000 ], waves => [ 15, 60 ],
                rate => 25 },
);

srand $seed;
$| = 1;
print "soak of nodes: SEED=$seed MINUTES=$minutes SCALE=$scale\n";

my $fleet = Test::LLM::Fleet->new(seed => $seed, scale => $scale, pair => 1,
    server => join('', map { "location /$_/ { $KINDS{$_}{lines} llm_pass m; }\n" } sort keys %KINDS));
my $clock = $fleet->clock;
my %load = map { $_ => Test::LLM::Load->new(seed => $seed) } sort keys %KINDS;
my $faults = $fleet->faults;

$faults->{load} = [ values %load ];
$faults->{note} = sub { printf "%8.2f %s\n", Test::LLM::now() - $begin, $_[0] };


sub wrong {
    my ($text) = @_;
    $violations++;
    print "VIOLATION $text\n";
}


sub offer {
    my ($name) = @_;
    my $kind = $KINDS{$name};
    my ($every, $for) = map { $clock->real($_) } @{ $kind->{waves} };

    $load{$name}->start(rate => $kind->{rate}, seconds => 60 * $minutes, to => $fleet->nodes->to,
        path => "/$name/v1/chat/completions", use => [ 20, 200, 5, 100 ],
        waves => [ $every, $for, "$name-", { headers => { 'X-Client' => '{{client}}' } } ]);
}


# A node that begins anew may use a share of what the others do not know of.
sub judge {
    my ($name, @log) = @_;
    my $kind = $KINDS{$name};
    my $judge = Test::LLM::Judge->new(grep { $_->{client} =~ /^$name-/ && $_->{status} == 200 } @log);
    my %o = (by => 'client', map { $_ => $kind->{$_} } grep { $kind->{$_} } qw(window of price));
    my $share = POSIX::ceil($kind->{limit} / 3);
    my @joins = map { $clock->at($_) } $faults->joins;
    my (%first, %last);

    for my $r ($judge->log) {
        $first{ $r->{client} } //= $r->{at};
        $last{ $r->{client} } = $r->{at};
    }
    my $most = $kind->{window} == 60 ? $judge->most(%o, slack => 0.25 * $scale)
        : { map { my $w = $_; $w->[0] => (sort { $b <=> $a } values %{ $w->[1] })[0] }
            map { [ $_->[0], $_->[1] ] } pairs($judge->windows(%o, slack => 0.25 * $scale)) };
    my ($full, $n) = (0, 0);

    for my $client (sort keys %$most) {
        my $joined = grep { $_ > $first{$client} - 65 && $_ < $last{$client} } @joins;
        my $allowed = $kind->{limit} + $share * $joined;
        wrong("$client: $most->{$client} in a window, $allowed allowed") if $most->{$client} > $allowed;
        $n++;
        $full++ if $most->{$client} >= 0.9 * $kind->{limit};
    }
    printf "%s: %d clients, %d arrivals, %d used 90 %% of their limit, the fullest window %d of %d\n",
        $name, $n, scalar($judge->log), $full, (sort { $b <=> $a } values %$most, 0)[0], $kind->{limit};
}

sub pairs { my ($h) = @_; return map { [ $_, $h->{$_} ] } keys %$h }


$fleet->start;
offer($_) for sort keys %KINDS;

my @names = $faults->names;
while (Test::LLM::now() < $begin + 60 * $minutes - $clock->real(20)) {
    $fleet->pass(2 + rand 10);
    my $name = $names[rand @names];
    $done{$name}++;
    $faults->run($name);
}

my %records = map { $_ => [ $load{$_}->wait ] } sort keys %KINDS;
my @log = $fleet->provider->log;
judge($_, @log) for sort keys %KINDS;
for my $gw ($fleet->nodes->nodes) {
    wrong($_) for $gw->problems;
}
for my $name (sort keys %KINDS) {
    printf "%s: %s\n", $name, join ', ', Test::LLM::Judge::strange($records{$name}, 429);
}
print 'did: ', join(', ', map { "$_: $done{$_}" } sort keys %done), "\n";
printf "soak of nodes: SEED=%d, %.0f s, %d violations\n", $seed, Test::LLM::now() - $begin, $violations;
exit($violations ? 1 : 0);
