# llm_redis: the connection itself, to a real redis-server: it comes back after
# whatever happened, and no request notices.

use lib 't/lib';
use Test::LLM;
use Test::LLM::Redis;

plan(skip_all => 'no redis-server') unless Test::LLM::Redis::available();

my $password = 'open-sesame-77';
my $redis = Test::LLM::Redis->new(password => $password, start => 0);

my $gw = Test::LLM::Gateway->new(workers => 2,
    vars => { REDIS => $redis->port }, env => { REDIS_PASSWORD => $password },
    conf => <<'EOC');
    llm_zone t:4m;
    llm_redis 127.0.0.1:%%REDIS%% prefix=t1: db=3 password=env:REDIS_PASSWORD;
    llm_provider canned { dialect mock; }
    server {
        listen 127.0.0.1:%%PORT%%;
        location /admin/ { llm_admin; }
        location = /metrics { llm_metrics; }
        location / { llm_pass canned; }
    }
EOC

sub status { return $gw->get('/admin/redis')->json }
sub connected { return wait_for(sub { status()->{connected} }, 40) }
sub away { return wait_for(sub { !status()->{connected} }, 40) }


# the time of the slowest of some requests
sub slowest {
    my $slowest = 0;
    for (1 .. 20) {
        my $start = now();
        my $r = $gw->post('/v1/chat/completions', chat_body('x'),
            'Content-Type' => 'application/json');
        is($r->status, 200, 'served') if $r->status != 200;
        my $took = now() - $start;
        $slowest = $took if $took > $slowest;
    }
    return $slowest;
}


# ---- a dead Redis stops no start ---------------------------------------------

$gw->start;

my $s = status();
ok($s->{configured}, 'configured');
is($s->{address}, '127.0.0.1:' . $redis->port, 'its address');
is($s->{mode}, 'single', 'a single one');
ok(away(), 'not connected');
ok(wait_for(sub { status()->{error} }, 20), 'and it says why');
like(status()->{error}, qr/^cannot be connected to/, 'refused');
cmp_ok(slowest(), '<', 0.4, 'requests do not wait for it');
like($gw->log, qr/\[error\] .*llm: redis 127.0.0.1:\d+ \(\S+\): cannot be connected to/,
    'the log says so');


# ---- it comes ----------------------------------------------------------------

$redis->start;
ok(connected(), 'connected');

$s = status();
is($s->{error}, undef, 'no error');
like($s->{version}, qr/^\d+\./, 'the version');
is($s->{peer}, '127.0.0.1:' . $redis->port, 'the peer');
ok(wait_for(sub { status()->{counts}{replies} > 0 }, 20), 'replies');
ok(defined status()->{latency_ms}, 'latency');

$redis->cmd('SELECT', 3);
my %key = map { $_ => 1 } $redis->keys;
is(join(' ', grep { !$key{"t1:{cp}:$_"} } qw(boot lead nodes term)), '',
    'its keys, in its database');
my @ttl = map { $redis->cmd('TTL', $_) } $redis->keys;
is(scalar(grep { $_ <= 0 } @ttl), 0, 'each has a TTL') or diag "@ttl";

my $page = $gw->get('/metrics')->body;
like($page, qr/^llm_redis_up 1$/m, 'metrics: up');
like($page, qr/^llm_redis_commands_total [1-9]/m, 'metrics: commands');
like($page, qr/^llm_redis_latency_seconds_bucket\{le="\+Inf"\} [1-9]/m,
    'metrics: latency');
like($page, qr/^llm_nodes 1$/m, 'metrics: nodes');


# ---- killed, stopped, half-open ------------------------------------------------

$redis->kill_hard;
ok(away(), 'killed: noticed');
cmp_ok(slowest(), '<', 0.4, 'killed: requests do not wait');
$redis->start;
ok(connected(), 'killed: connected again');

my $before = status()->{counts};
$redis->pause;
ok(away(), 'stopped: noticed');
like(status()->{error}, qr/timed out/, 'stopped: by the deadline');
cmp_ok(slowest(), '<', 0.4, 'stopped: requests do not wait');
ok(wait_for(sub { status()->{counts}{timeouts} >= $before->{timeouts} + 3 }, 30),
    'stopped: tried again');
my $tries = status()->{counts}{connects};
select undef, undef, undef, 1.0;
cmp_ok(status()->{counts}{connects} - $tries, '<=', 2,
    'stopped: left alone after three times');
cmp_ok(status()->{counts}{unknown}, '>', $before->{unknown},
    'stopped: outcomes are unknown');
$redis->resume;
ok(connected(), 'stopped: connected again');

# a connection whose other end is gone without a word: the server closes it
$redis->cmd('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
ok(wait_for(sub { status()->{counts}{connects} > $tries + 1 }, 30),
    'closed: another one');
ok(connected(), 'closed: connected');


# ---- a reload, a killed worker, the end ---------------------------------------

my $node = status()->{node};
$gw->reload;
ok(connected(), 'reload: connected');
is(status()->{node}, $node, 'reload: the same node');

kill 'KILL', ($gw->workers)[0];
$gw->expect_log(qr/exited on signal 9/);
ok(wait_for(sub { my @w = $gw->workers; @w == 2 }, 20), 'killed worker: another');
my $replies = status()->{counts}{replies};
ok(wait_for(sub { status()->{counts}{replies} > $replies }, 30),
    'killed worker: the next agent goes on');

$redis->cmd('SELECT', 3);
is($redis->cmd('ZCARD', 't1:{cp}:nodes'), 1, 'one node');
$gw->quit;
is($redis->cmd('ZCARD', 't1:{cp}:nodes'), 0, 'the end: it has left');
is($redis->cmd('EXISTS', 't1:{cp}:lead'), 0, 'the end: nobody leads');

my ($back) = $gw->log =~ /(\[notice\] .*llm: redis \S+ \(\S+\) is back)/;
ok($back, 'the log says when it was back');

finish;
