# What one node learns of keys all others know: rests, disabled keys, keys and
# models that were switched off by hand; and breakers that opened.

use lib 't/lib';
use Test::LLM;
use Test::LLM::Nodes;
use Test::LLM::Redis;
use Test::LLM::Upstream;

plan(skip_all => 'no redis-server') unless Test::LLM::Redis->available;

my $up = Test::LLM::Upstream->new;
my $redis = Test::LLM::Redis->new;
my $nodes = Test::LLM::Nodes->new(n => 3, workers => 2, redis => $redis, proxies => 1,
    vars => { UP => $up->port },
    env => { map { ("K$_" => "sk-test-key-number-$_-0000") } 1 .. 3 },
    secrets => [ map { "sk-test-key-number-$_-0000" } 1 .. 3 ], conf => <<'EOC')->start;
    llm_zone t:16m;
    llm_redis %%REDIS%%;
    llm_state %%DIR%%/state;
    llm_key_pool p { select in_order; key env:K1 name=one; key env:K2 name=two; key env:K3 name=three; }
    llm_provider up  { dialect openai; base_url http://127.0.0.1:%%UP%%/v1; keys p; breaker off; }
    llm_provider ill { dialect openai; base_url http://127.0.0.1:%%UP%%/ill/v1; breaker failures=6 error_rate=100% min=50; }
    llm_model big    { provider up; id big; }
    server {
        listen 127.0.0.1:%%PORT%%;
        llm_retry off;
        llm_response_headers all;
        location /v1/    { llm_pass up; }
        location /big/   { llm_pass big; }
        location /ill/   { llm_pass ill; }
        location /admin/ { llm_admin; }
    }
EOC

my $json = { 'Content-Type' => 'application/json' };

sub keys_of { my ($i) = @_; return { map { $_->{name} => $_ } @{ $nodes->node($i)->get('/admin/keys')->json->{keys} } } }
sub state_of { my ($i, $key) = @_; return keys_of($i)->{$key}{state} }
sub ask { my ($i, $model) = @_; return chat($nodes->node($i), $model // 'm', path => '/v1/chat/completions') }
sub key_for { return ask(@_)->header('x-llm-key') // '' }
sub all_are { my ($key, $state) = @_; return 3 == grep { state_of($_, $key) eq $state } 0 .. 2 }

my $fine = ok_chat('fine');
$up->on('/v1/*' => $fine);
$up->on('/ill/*' => reply(500, {}, '{}'));
sub k { return "sk-test-key-number-$_[0]-0000" }

is(key_for($_), 'one', 'the first key comes first') for 0 .. 2;

# ---- rests ------------------------------------------------------------------

$up->on({ path => '/v1/*', key => k(1) } => reply(429, { 'Retry-After' => 600 },
    '{"error":{"message":"Rate limit reached","type":"requests","code":"rate_limit_exceeded"}}'));
is(ask(0)->status, 429, 'a key is out of quota');
ok(wait_for(sub { $redis->cmd('HLEN', 'llmgw:{cp}:rest:p') }, 5), 'Redis knows');
my $sent = $up->received('/v1/*');
ok(wait_for(sub { key_for(1) eq 'two' && key_for(2) eq 'two' }, 5), 'the other nodes use the next one');
my @wasted = grep { $_->{key} eq k(1) } ($up->received('/v1/*'))[ $sent .. $up->received('/v1/*') - 1 ];
cmp_ok(scalar @wasted, '<=', 2, 'and asked the resting one hardly ever');

# disabled: three refusals on one node
$up->on({ path => '/v1/*', key => k(2) } => reply(401, {},
    '{"error":{"message":"Incorrect API key","type":"invalid_request_error","code":"invalid_api_key"}}'));
ask(0);
ok(wait_for(sub { all_are('two', 'cooling') }, 5), 'a refused key cools on all nodes');
is(key_for(2), 'three', 'so the third is used');

# ---- by hand ----------------------------------------------------------------

$up->on({ path => '/v1/*', key => k($_) } => $fine) for 1, 2;

sub switch_to {
    my ($i, $what, $on) = @_;
    return $nodes->node($i)->http(PUT => "/admin/$what", $json, to_json({ enabled => $on ? \1 : \0 }));
}

is(switch_to(1, 'keys/two', 1)->status, 200, 'switched on by hand on the second node');
ok(wait_for(sub { all_are('two', 'active') }, 5), 'its rest is over on all');
is(key_for(0), 'two', 'it is used');
is(switch_to(2, 'keys/two', 0)->status, 200, 'switched off on the third');
ok(wait_for(sub { all_are('two', 'off') }, 5), 'off on all');
is(key_for(1), 'three', 'not used any more');

is(switch_to(0, 'models/big', 0)->status, 200, 'a model is switched off');
sub big { return $nodes->node($_[0])->get('/admin/models')->json->{models}[0]{enabled} }
ok(wait_for(sub { !grep { big($_) } 0 .. 2 }, 5), 'on all nodes');

# ---- who was not there ------------------------------------------------------

$redis->flush;
ok(wait_for(sub { ($redis->cmd('HLEN', 'llmgw:{cp}:rest:p') // 0) >= 2
                  && $redis->cmd('HLEN', 'llmgw:{cp}:switches') }, 15), 'after FLUSHALL it is all told again');

my $new = $nodes->join_one;
ok(wait_for(sub { state_of($new, 'two') eq 'off' && !big($new) }, 10), 'a new node learns it');
is(key_for($new), 'three', 'and sends nothing to what rests');

$redis->pause;
is(switch_to(0, 'models/big', 1)->status, 200, 'switched while Redis is away');
ok(big(0), 'holds here');
ok(!big(1), 'but not there');
$redis->resume;
ok(wait_for(sub { big(0) && big(1) && big(2) }, 15), 'then everywhere');

# ---- breakers ---------------------------------------------------------------

sub breaker { my ($i) = @_; return (grep { $_->{name} eq 'ill' } @{ $nodes->node($i)->get('/admin/providers')->json->{providers} })[0]{breaker} }
chat($nodes->node(0), 'm', path => '/ill/v1/chat/completions') for 1 .. 6;
is(breaker(0), 'open', 'a breaker opens');
sleep 1;
is(breaker(1), 'closed', 'it is no verdict for the others');
chat($nodes->node(1), 'm', path => '/ill/v1/chat/completions') for 1 .. 2;
is(breaker(1), 'closed', 'two failures are too few');
chat($nodes->node(1), 'm', path => '/ill/v1/chat/completions');
is(breaker(1), 'open', 'but half of six are enough');

$_->expect_log(qr/llm: redis |breaker opened|is disabled/) for map { $_->{gw} } @{ $nodes->{all} };
finish();
