# What requests pay for Redis: nothing.  And what a bad network does.

use lib 't/lib';
use Test::LLM;
use Test::LLM::Redis;
use Test::LLM::RespProxy;

plan(skip_all => 'no redis-server') unless Test::LLM::Redis::available();

my $redis = Test::LLM::Redis->new;
my $proxy = Test::LLM::RespProxy->new(redis => $redis);

my $gw = Test::LLM::Gateway->new(workers => 2,
    vars => { REDIS => $redis->port, PROXY => $proxy->port }, conf => <<'EOC')->start;
    llm_zone t:8m;
    llm_redis 127.0.0.1:%%PROXY%%;
    llm_provider canned { dialect mock; }
    llm_model m { provider canned; id m; }
    llm_model n { provider canned; id n; }
    llm_split s { variant blue m 90%; variant green n 10%; }
    server {
        listen 127.0.0.1:%%PORT%%;
        location /admin/ { llm_admin; }
        location / { llm_pass s; }
    }
EOC

my @json = ('Content-Type' => 'application/json');
sub status { return $gw->get('/admin/redis')->json }
sub moves { my $n = status()->{counts}{replies};
            return wait_for(sub { status()->{counts}{replies} > $n + 2 }, 60) }

# milliseconds per request, sorted
sub took {
    my ($n) = @_;
    my @ms;
    for (1 .. $n) {
        my $start = now();
        my $r = $gw->post('/v1/chat/completions', chat_body('x'), @json);
        push @ms, (now() - $start) * 1000;
        return () if $r->status != 200;
    }
    return sort { $a <=> $b } @ms;
}

ok(moves(), 'it goes');

my @with = took(300);
is(scalar @with, 300, 'all served');
$redis->pause;
ok(wait_for(sub { !status()->{connected} }, 40), 'stopped');
my @stopped = took(300);
is(scalar @stopped, 300, 'all served');
diag sprintf 'with Redis: p50 %.2f ms, p99 %.2f ms; stopped: p50 %.2f ms, p99 %.2f ms',
    $with[150], $with[297], $stopped[150], $stopped[297];
cmp_ok($stopped[297], '<', 100 + 3 * $with[297], 'no request waits for it');
$redis->resume;
ok(moves(), 'it goes on');

# operations per request, with nothing shared but nodes and a split
$redis->reset_calls;
took(300);
my $calls = $redis->calls;
my $sum = 0;
$sum += $calls->{$_} // 0 for qw(evalsha eval get hgetall publish hmget);
cmp_ok($sum / 300, '<=', 0.2, sprintf '%d operations for 300 requests', $sum);


# ---- a bad network ----------------------------------------------------------------

diag 'seed ' . $proxy->seed;

for my $case ([ 'replies are torn', tear => 1 ], [ 'replies are late', delay => [ 5, 60 ] ],
              [ 'replies are lost', drop => 0.3 ], [ 'replies never come', mute => 0.3 ],
              [ 'commands come twice', repeat => 0.5 ],
              [ 'commands come late, again', late => [ 0.5, 800 ] ])
{
    my ($name, %fault) = @$case;
    $proxy->set(%fault);
    my $before = status()->{counts};
    ok(wait_for(sub { status()->{counts}{replies} > $before->{replies} + 2 }, 60),
        "$name: it goes on");
    my $s = status();
    is($s->{nodes}, 1, "$name: one node");
    is($gw->post('/v1/chat/completions', chat_body('x'), @json)->status, 200,
        "$name: served");
}

# a partition: nothing passes, nothing closes
$proxy->set(cut => 'silent');
ok(wait_for(sub { my $s = status(); !$s->{connected} && $s->{counts}{timeouts} }, 40),
    'a partition: noticed');
my @cut = took(100);
is(scalar @cut, 100, 'a partition: all served');
$proxy->set(cut => 'refuse');
@cut = took(50);
is(scalar @cut, 50, 'refused: all served');
$proxy->set;
ok(moves(), 'healed');
ok(wait_for(sub { status()->{connected} }, 20), 'connected');

finish;
