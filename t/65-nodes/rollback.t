# How fast a rollback on one node ends new requests to the bad variant on all of
# them, by the log of the provider behind it; and how fast weights travel.

use lib 't/lib';
use Test::LLM;
use Test::LLM::Load;
use Test::LLM::Nodes;
use Test::LLM::Provider;
use Test::LLM::Redis;
use Time::HiRes qw(sleep time);

plan(skip_all => 'no redis-server') unless Test::LLM::Redis->available;

my ($blue, $green) = map { Test::LLM::Provider->new } 1, 2;
my $redis = Test::LLM::Redis->new;
my $nodes = Test::LLM::Nodes->new(n => 3, workers => 2, redis => $redis, proxies => 1,
    vars => { BLUE => $blue->port, GREEN => $green->port }, conf => <<'EOC')->start;
    llm_zone t:16m;
    llm_redis %%REDIS%%;
    llm_provider blue  { dialect openai; base_url http://127.0.0.1:%%BLUE%%/v1; breaker off; }
    llm_provider green { dialect openai; base_url http://127.0.0.1:%%GREEN%%/v1; breaker off; }
    llm_split s { variant blue blue 100%; variant green green 0%;
                  rollout green steps=50%,100% bake=1h max_bake=2h rest=0s;
                  rollback error_rate>5% for=100ms window=600ms min=5; }
    server {
        listen 127.0.0.1:%%PORT%%;
        llm_retry off;
        location /v1/    { llm_pass s; }
        location /admin/ { llm_admin; }
    }
EOC

my $json = { 'Content-Type' => 'application/json' };

sub doc { my ($i) = @_; return $nodes->node($i)->get('/admin/splits/s')->json || {} }
sub all_are { my ($state) = @_; return 3 == grep { (doc($_)->{state} // '') eq $state } 0 .. 2 }
sub to { my ($i) = @_; return { port => $nodes->node($i)->port, name => "n$i" } }
sub call { my ($i, $verb) = @_; return $nodes->node($i)->http(POST => "/admin/splits/s/$verb", $json, '{"force":true}')
    if $verb eq 'start'; return $nodes->node($i)->http(POST => "/admin/splits/s/$verb", $json, '') }

sub start {
    ok(wait_for(sub { call(0, 'start')->status == 200 }, 20), 'a rollout starts');
    ok(wait_for(sub { all_are('progressing') }, 10), 'on all nodes');
    $green->forget;
}

# the last healthy request in the bad variant, in seconds after a moment
sub last_after {
    my ($t) = @_;
    my @late = sort { $b <=> $a } map { $_->{at} - $t } grep { $_->{client} eq 'well' } $green->log;
    return $late[0] // 0;
}

# when a node rolled back, by its audit trail
sub rolled_back_at {
    my ($i) = @_;
    my ($e) = grep { $_->{action} =~ /^(?:rollback|abort)$/ } reverse @{ $nodes->node($i)->get('/admin/audit')->json->{entries} };
    my ($y, $mo, $d, $h, $m, $s) = $e->{time} =~ /^(\d+)-(\d+)-(\d+)T(\d+):(\d+):([\d.]+)Z/ or return;
    require Time::Local;
    return Time::Local::timegm(0, $m, $h, $d, $mo - 1, $y) + $s;
}

# two of three nodes have healthy traffic all the time
sub load {
    my ($seconds) = @_;
    return Test::LLM::Load->new->start(rate => 60, seconds => $seconds, to => [ to(1), to(2) ],
        as => [ { client => 'well', weight => 1 } ], path => '/v1/chat/completions', model => 'm');
}

# errors on the first node, until it has rolled back
sub break_first {
    my $bad = Test::LLM::Load->new->start(rate => 40, seconds => 10, to => [ to(0) ],
        as => [ { client => 'ill', weight => 1 } ], path => '/v1/chat/completions', model => 'm', words => 'fail=500');
    my $began = time;
    ok(wait_for(sub { doc(0)->{state} eq 'rolled_back' }, 15), 'the first node sees errors and rolls back');
    $bad->halt;
    return ($began, rolled_back_at(0));
}

# ---- with everything in place -------------------------------------------------

start();
my $load = load(8);
sleep 1;
my ($began, $at) = break_first();
sleep 3;
$load->wait;
my $last = last_after($at);
ok($green->count, 'there were requests in the variant');
note(sprintf 'errors began %.2f s before the rollback; the last request elsewhere came %.3f s after it', $at - $began, $last);
cmp_ok($last, '<', 3, 'with pub/sub no node begins one after 3 s');
ok(all_are('rolled_back'), 'all nodes rolled back');
my @trail = grep { $_->{action} eq 'rollback' } map { @{ $nodes->node($_)->get('/admin/audit')->json->{entries} } } 0 .. 2;
is(scalar @trail, 1, 'one of them by itself');

# ---- without pub/sub ------------------------------------------------------------

start();
my $killer = fork // die "fork: $!";

if (!$killer) {
    my $end = time + 30;
    while (time < $end) {
        $redis->try('CLIENT', 'KILL', 'TYPE', 'pubsub');
        select undef, undef, undef, 0.02;
    }
    require POSIX;
    POSIX::_exit(0);
}

$load = load(9);
sleep 1;
($began, $at) = break_first();
sleep 4;
$load->wait;
kill 'KILL', $killer;
waitpid $killer, 0;
$last = last_after($at);
note(sprintf 'without pub/sub: the last one came %.3f s after the rollback', $last);
cmp_ok($last, '<', 4, 'without pub/sub no node begins one after 4 s');
ok(wait_for(sub { all_are('rolled_back') }, 10), 'all nodes rolled back');

# ---- Redis dies at that moment --------------------------------------------------

start();
$load = load(20);
sleep 2;
$redis->kill_hard;
is(call(0, 'abort')->status, 200, 'aborted when Redis has just died');
$at = rolled_back_at(0);
$load->wait;
$last = last_after($at);
note(sprintf 'without Redis: the last one came %.3f s after the abort', $last);
cmp_ok($last, '<', 17, 'no node begins one after 17 s');
cmp_ok($last, '>', 5, 'they had no way to know sooner');
is(scalar(grep { doc($_)->{lease_expired} } 1, 2), 2, 'their leases are over');
$redis->start;
ok(wait_for(sub { all_are('rolled_back') }, 20), 'when Redis is there again, though empty, they hear of it');

# ---- weights ----------------------------------------------------------------------

my @ms;

for my $n (1 .. 60) {
    my $i = $n % 3;
    my $green_now = 1 + $n % 50;
    my $d = doc($i);
    my $r = $nodes->node($i)->http(PUT => '/admin/splits/s', $json, to_json({ version => $d->{version}, force => JSON::PP::true(),
        weights => { blue => 100 - $green_now, green => $green_now } }));
    my $t = time;

    if ($r->status != 200) {
        sleep 0.2;
        next;
    }

    for my $k (grep { $_ != $i } 0 .. 2) {
        my $end = time + 10;
        while (time < $end) { last if doc($k)->{weights}{green} == $green_now }
    }
    push @ms, (time - $t) * 1000;
}

@ms = sort { $a <=> $b } @ms;
cmp_ok(scalar @ms, '>', 40, 'changes of weights');
note(sprintf 'a change of weights is on all nodes after: median %.1f ms, p99 %.1f ms, worst %.1f ms',
    $ms[@ms / 2], $ms[0.99 * @ms], $ms[-1]);
cmp_ok($ms[@ms / 2], '<', 500, 'long before the next poll');

$_->expect_log(qr/llm: redis |rolled back|lease_expired/) for map { $_->{gw} } @{ $nodes->{all} };
finish();
