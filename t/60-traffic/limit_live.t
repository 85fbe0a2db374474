# Rules of records made at run time hold at once, and for a request that is under
# way for as long as it takes, whatever becomes of its client meanwhile.

use lib 't/lib';
use Test::LLM;

my $up = Test::LLM::Upstream->new;
my $gw = Test::LLM::Gateway->new(vars => { UP => $up->port }, workers => 2, conf => <<'EOC')->start;
    llm_zone t:8m;
    log_format llm '$llm_client|$llm_limited|$status';
    access_log %%DIR%%/llm.log llm;
    llm_provider up { dialect openai; base_url http://127.0.0.1:%%UP%%/v1; breaker off; }
    llm_model m { provider up; id m; price input=1000 output=2000; }
    server {
        listen 127.0.0.1:%%PORT%%;
        llm_retry off;
        location /v1/    { llm_auth on; llm_pass m; }
        location /admin/ { llm_admin; }
    }
EOC

my $json = { 'Content-Type' => 'application/json' };
my $r = $gw->http(POST => '/admin/clients', $json, to_json({ id => 'live', limits => [ '3r/m', 'parallel=1', '100000t/d' ], budgets => [ '5usd/d' ] }));
is($r->status, 201, 'a client is made') or diag $r->body;
my $key = $r->json->{key};

sub body { chat_body('m', max_tokens => 3, @_) }
sub auth { return { Authorization => "Bearer $key" } }
sub ask { return $gw->http(POST => '/v1/chat/completions', auth(), body(@_)) }
sub left { my ($name) = @_; my ($rule) = grep { $_->{name} eq $name } @{ $gw->get('/admin/limits?client=live')->json->{rules} }; return $rule->{left} }

$up->on('/*' => ok_chat('x'));
is(ask()->status, 200, 'its key is good');
is(left('client 3r/m'), 2, 'its limits count');

$up->on('/*' => [ [ barrier => 'b' ], @{ ok_chat('x') } ]);
my ($open) = start_all($gw, [ POST => '/v1/chat/completions', auth(), body() ]);
run_all(10, $open, sub { $up->waiting('b') });
is(ask()->status, 429, 'one at a time');

is($gw->http(PUT => '/admin/clients/live', $json, to_json({ limits => [ '9r/m', 'parallel=1' ] }))->status, 200, 'its limits are changed');
is(ask()->status, 429, 'the place is still taken');
is(left('client 9r/m'), 7, 'what it used counts on');

$up->release('b');
run_all(10, $open);
is($open->status, 200, 'who was under way is served');
ok(wait_for(sub { left('client parallel=1') == 1 }), '... and gives its place back');

$up->on('/*' => [ [ barrier => 'c' ], @{ ok_chat('x') } ]);
($open) = start_all($gw, [ POST => '/v1/chat/completions', auth(), body() ]);
run_all(10, $open, sub { $up->waiting('c') });
is($gw->http(DELETE => '/admin/clients/live', $json, '{}')->status, 200, 'the client is deleted');
ok(wait_for(sub { ask()->status == 401 }), 'its key is bad');
$up->release('c');
run_all(10, $open);
is($open->status, 200, '... but who was under way is served');

finish();
