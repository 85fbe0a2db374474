# The rules of docs/nodes.md are enough for the gateway's user, and no more than
# it needs: other keys, and what is dangerous, are out of its reach.

use lib 't/lib';
use Test::LLM;
use Test::LLM::Redis;

plan(skip_all => 'no redis-server') unless Test::LLM::Redis::available();

# the rules as they stand in the document
open my $fh, '<', 'docs/nodes.md' or die $!;
my ($rules) = do { local $/; readline $fh } =~ /^(ACL SETUSER gateway.*?)\n```/ms;
ok($rules, 'the rules of docs/nodes.md');
my (undef, undef, @rule) = split ' ', ($rules // '') =~ s/\\\n//gr;
my $password = 'the-gateway-s-81';
s/^>PASSWORD$/>$password/ for @rule;

my $redis = Test::LLM::Redis->new(password => 'the-test-s-own-82');
$redis->cmd('ACL', 'SETUSER', @rule);

my $gw = Test::LLM::Gateway->new(vars => { REDIS => $redis->port },
    env => { REDIS_PASSWORD => $password }, conf => <<'EOC')->start;
    llm_zone t:8m;
    llm_redis 127.0.0.1:%%REDIS%% db=2 user=gateway password=env:REDIS_PASSWORD;
    llm_key_pool keys { key env:REDIS_PASSWORD name=a limit=50r/d; }
    llm_provider canned { dialect mock; keys keys; }
    llm_model m { provider canned; id m; price input=1 output=1; }
    llm_model n { provider canned; id n; price input=1 output=1; }
    llm_split s {
        variant blue m 90%;
        variant green n 10%;
        rollout green steps=10%,100% bake=10m;
        experiment e;
    }
    llm_limit per=$arg_who 5r/d;
    llm_budget per=$arg_who 1usd/d;
    server {
        listen 127.0.0.1:%%PORT%%;
        location /admin/ { llm_admin; }
        location /feedback { llm_feedback; }
        location / { llm_pass s; }
    }
EOC

sub status { return $gw->get('/admin/redis')->json }
my @json = ('Content-Type' => 'application/json');

ok(wait_for(sub { status()->{connected} && status()->{counts}{replies} }, 30),
    'connected') or diag $gw->log;
ok(wait_for(sub { $redis->cmd('PUBSUB', 'NUMSUB', 'llmgw:ev')->[1] }, 20),
    'subscribed');

# something of everything that is shared
my $r;
$r = $gw->post("/v1/chat/completions?who=$_", chat_body('x'), @json)
    for (1 .. 3) x 8;
like($r->status, qr/^(?:200|429)$/, 'served, or refused by a limit');
my $version = $gw->get('/admin/splits/s')->json->{version};
$gw->http(PUT => '/admin/splits/s', { @json }, to_json({ version => $version,
    weights => { blue => 50, green => 50 } }));
$gw->post('/admin/splits/s/abort', '{"variant":"green"}', @json);
$gw->http(PUT => '/admin/keys/a', { @json }, '{"enabled":false}');
$gw->http(PUT => '/admin/models/n', { @json }, '{"enabled":false}');
$gw->post('/feedback', to_json({ id => $r->header('x-llm-request-id') // '',
    score => 'up' }), @json);
my $polls = status()->{counts}{replies};
ok(wait_for(sub { status()->{counts}{replies} > $polls + 4 }, 30), 'some seconds');

is_deeply($redis->cmd('ACL', 'LOG'), [], 'nothing was denied')
    or diag to_json($redis->cmd('ACL', 'LOG'));
is(status()->{counts}{errors}, 0, 'no reply was an error');

# every key has a TTL
$redis->cmd('SELECT', 2);
my %ttl = map { $_ => $redis->cmd('PTTL', $_) } $redis->keys;
cmp_ok(scalar keys %ttl, '>=', 4, 'keys: ' . join ' ', sort keys %ttl);
is(join(' ', grep { $ttl{$_} <= 0 } sort keys %ttl), '', 'each has a TTL');
is(join(' ', grep { !/^llmgw:/ } keys %ttl), '', 'each has the prefix');

# what the user cannot do
for my $try ([ 'FLUSHALL' ], [ 'KEYS', '*' ], [ 'CONFIG', 'GET', '*' ], [ 'SET', 'other', 1 ],
             [ 'GET', 'other' ], [ 'SCRIPT', 'FLUSH' ], [ 'PUBLISH', 'other', 'x' ],
             [ 'SHUTDOWN' ], [ 'ACL', 'LIST' ], [ 'REPLICAOF', 'NO', 'ONE' ],
             [ 'EVAL', "return redis.call('GET', 'other')", 0 ])
{
    my $conn = Test::LLM::Resp->connect($redis->port);
    $conn->ask('AUTH', 'gateway', $password);
    my (undef, $error) = $conn->ask(@$try);
    like($error // '', qr/NOPERM|No permissions|ACL failure|can't access/, "it may not: @$try");
}

finish;
