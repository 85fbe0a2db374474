# llm_redis: what nginx -t says about it.

use lib 't/lib';
use Test::LLM;

my %env = (REDIS_PASSWORD => 'secret-of-redis-1', EMPTY_PASSWORD => '');

sub try_conf {
    my ($line, $zone) = @_;
    my $gw = Test::LLM::Gateway->new(env => \%env,
        secrets => [ 'hunter2-hunter2' ], files => { 'pw' => "from-a-file-123\n" });
    return $gw->test_conf(($zone // "llm_zone t:4m;\n") . "llm_redis $line;\n"
        . "llm_provider c { dialect mock; }\n"
        . 'server { listen 127.0.0.1:%%PORT%%; location / { llm_pass c; } }');
}

for my $line ('127.0.0.1', '127.0.0.1:6379', '[::1]:6379', 'unix:/run/redis.sock',
    'localhost', '127.0.0.1 db=0', '127.0.0.1 prefix=a:b-c.', '127.0.0.1 timeout=20ms',
    '127.0.0.1 password=env:REDIS_PASSWORD', '127.0.0.1 password=file:%%DIR%%/pw',
    '127.0.0.1 user=gw password=env:REDIS_PASSWORD', '127.0.0.1 nodes=64',
    'sentinel=127.0.0.1:26379,127.0.0.2 master=mymaster',
    'cluster 127.0.0.1:7000 127.0.0.1:7001 127.0.0.1:7002',
    'tls 127.0.0.1:6380 tls_verify=off', '127.0.0.1:6380 tls tls_name=redis.internal')
{
    my ($code, $out) = try_conf($line);
    is($code, 0, "loads: $line") or diag $out;
}

my @bad = (
    [ 'prefix=x', qr/needs an address, expected HOST:PORT, unix:PATH or "sentinel=/ ],
    [ '127.0.0.1 127.0.0.2', qr/several addresses only with "cluster"/ ],
    [ '127.0.0.1:99999', qr/invalid address "127.0.0.1:99999": invalid port/ ],
    [ '127.0.0.1 sentinel=127.0.0.1 master=m', qr/an address or "sentinel=", not both/ ],
    [ 'sentinel=127.0.0.1', qr/needs "sentinel=" and "master=" together/ ],
    [ '127.0.0.1 master=m', qr/needs "sentinel=" and "master=" together/ ],
    [ 'sentinel=127.0.0.1 master=m cluster', qr/cannot have "cluster" together/ ],
    [ '127.0.0.1 cluster db=1', qr/cannot have "db=" with "cluster"/ ],
    [ '127.0.0.1 db=x', qr/invalid value "db=x", expected a number/ ],
    [ '127.0.0.1 timeout=1ms', qr/invalid value "timeout=1ms", it must be between 5 and/ ],
    [ '127.0.0.1 nodes=0', qr/invalid value "nodes=0"/ ],
    [ '127.0.0.1 nodes=65', qr/invalid value "nodes=65"/ ],
    [ '127.0.0.1 "prefix={a}"', qr/invalid prefix "\{a\}"/ ],
    [ '127.0.0.1 prefix=' . 'x' x 65, qr/invalid prefix/ ],
    [ '127.0.0.1 speed=9', qr/invalid parameter "speed=9", expected one of: prefix=/ ],
    [ '127.0.0.1 db=1 db=2', qr/duplicate parameter "db=2"/ ],
    [ '127.0.0.1 user=gw', qr/needs "password=" with "user="/ ],
    [ '127.0.0.1 tls_name=x', qr/needs "tls" for/ ],
    [ '127.0.0.1 tls_verify=off', qr/needs "tls" for/ ],
    [ '127.0.0.1 tls tls_ca=/nowhere/ca.pem', qr{/nowhere/ca.pem} ],
    [ '127.0.0.1 password=hunter2-hunter2', qr/password of "llm_redis" must come from "env:NAME" or "file:PATH"/ ],
    [ '127.0.0.1 password=env:NO_SUCH_PASSWORD', qr/"env:NO_SUCH_PASSWORD", is missing/ ],
    [ '127.0.0.1 password=env:EMPTY_PASSWORD', qr/"env:EMPTY_PASSWORD", is empty/ ],
    [ '127.0.0.1 password=file:/nowhere/pw', qr{"file:/nowhere/pw", is missing} ],
    [ 'redis://:hunter2-hunter2@127.0.0.1', qr/without a scheme, user or path/ ],
    [ ':hunter2-hunter2@127.0.0.1', qr/without a scheme, user or path/ ],
    [ "127.0.0.1;\nllm_redis 127.0.0.1", qr/"llm_redis" directive is duplicate/ ],
);

for (@bad) {
    my ($line, $like) = @$_;
    my ($code, $out) = try_conf($line);
    isnt($code, 0, "refused: $line");
    like($out, $like, '... and says why');
    like($out, qr/nginx\.conf:\d+/, '... and where');
    unlike($out, qr/hunter2/, '... and shows no secret');
}

my ($code, $out) = try_conf('127.0.0.1', '');
isnt($code, 0, 'refused: without llm_zone');
like($out, qr/"llm_redis" needs "llm_zone".*nginx\.conf:\d+/, '... and says so');

($code, $out) = try_conf('no-such-host.invalid');
is($code, 0, 'an unknown host without a resolver loads');
like($out, qr/host "no-such-host.invalid" of "llm_redis" was not found/, '... with a warning');

finish;
