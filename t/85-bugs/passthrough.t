# What passes through unread still tells breaker and keys how it went.

use lib 't/lib';
use Test::LLM;

my $up = Test::LLM::Upstream->new;
my $gw = Test::LLM::Gateway->new(vars => { UP => $up->port }, env => { KEY_A => 'sk-alpha-00001', KEY_B => 'sk-beta-000001' },
    conf => <<'EOC')->start;
    llm_zone t:4m;
    log_format llm '$status|$llm_status_class|$llm_key';
    access_log %%DIR%%/llm.log llm;
    llm_key_pool two { key env:KEY_A name=one; key env:KEY_B name=other; select in_order; }
    llm_provider keys { dialect openai; base_url http://127.0.0.1:%%UP%%/v1; keys two; breaker off; }
    llm_provider a { dialect openai; base_url http://127.0.0.1:%%UP%%/v1; breaker failures=3 min=1 open=20s; }
    server {
        listen 127.0.0.1:%%PORT%%;
        location /keys/ { llm_endpoint passthrough; llm_pass keys; }
        location /a/ { llm_endpoint passthrough; llm_pass a; }
    }
EOC

$up->on({ path => '/*', key => 'sk-alpha-00001' } => reply(429, { 'Retry-After' => 60 }, '{"error":{"message":"slow down"}}'));
$up->on({ path => '/*', key => 'sk-beta-000001' } => reply(200, {}, '{"fine":1}'));

my $r = $gw->get('/keys/x');
is($r->status, 429, 'a refusal passes');
is($r->body, '{"error":{"message":"slow down"}}', '... as it is');
is($gw->get('/keys/x')->status, 200, 'the key rests: the next request has another one');

$up->reset;
$up->on('/*' => reply(500, {}, '{"broken":1}'));
my $n = 0;
for (1 .. 6) {
    $n++ if $gw->get('/a/x')->body eq '{"broken":1}';
}
cmp_ok($n, '<', 6, "errors open the breaker ($n passed)");

ok(wait_for(sub { $gw->access('llm.log') =~ /^500/m }), 'logged');
like($gw->access('llm.log'), qr/^429\|rate_limited\|one\n200\|ok\|other\n500\|server\|/m, '... with their classes')
    or diag $gw->access('llm.log');

finish();
