# A request that is refused for want of a model must not keep the provider's
# inflight slot: after `inflight` of them nobody else got through.

use lib 't/lib';
use Test::LLM;

my $up = Test::LLM::Upstream->new;
my $gw = Test::LLM::Gateway->new(vars => { UP => $up->port },
    conf => <<'EOC')->start;
    llm_zone t:4m;
    log_format llm '$status|$llm_error|$llm_status_class';
    access_log %%DIR%%/llm.log llm;
    llm_provider a { dialect openai; base_url http://127.0.0.1:%%UP%%/v1; inflight 1 queue=1 wait=200ms; }
    llm_prompt p { user "{text}"; answer json; }
    server {
        listen 127.0.0.1:%%PORT%%;
        location = /analyze { llm_analyze p; llm_pass a; }
    }
EOC

$up->on('/*' => ok_chat('{"a":1}'));

for (1 .. 3) {
    my $r = $gw->post('/analyze', '{"text":"x"}');
    is($r->header('x-llm-error'), 'caller_model_missing', 'refused');
}

my $r = $gw->post('/analyze', '{"text":"x","model":"m"}');
is($r->status, 200, 'the slot is still free');
is($r->body, '{"a":1}', '... and the answer comes');

ok(wait_for(sub { $gw->access('llm.log') =~ /^200/m }), 'logged');
like($gw->access('llm.log'), qr/^400\|caller_model_missing\|invalid_request$/m,
     'the class of the refusal is not "ok"');

finish();
