# A request that cannot be made here is an error of the gateway: answered in the
# client's terms, and no provider, key or slot suffers for it.

use lib 't/lib';
use Test::LLM;

my $up = Test::LLM::Upstream->new;
my $gw = Test::LLM::Gateway->new(vars => { UP => $up->port }, conf => <<'EOC')->start;
    llm_zone t:4m;
    large_client_header_buffers 4 32k;
    log_format llm '$status|$llm_error|$llm_status_class';
    access_log %%DIR%%/llm.log llm;
    llm_provider a { dialect openai; base_url http://127.0.0.1:%%UP%%/v1;
        breaker failures=2 min=1; inflight 1 queue=1 wait=200ms;
        header X-Big $arg_x$arg_x$arg_x$arg_x; }
    server {
        listen 127.0.0.1:%%PORT%%;
        error_page 500 502 503 504 = /other/v1/chat/completions;
        location /v1/ { llm_pass a; }
        location /other/ { llm_pass a; }
    }
EOC

$up->on('/*' => ok_chat('fine'));
my $path = '/v1/chat/completions';

for (1 .. 4) {
    my $r = chat($gw, 'm', path => "$path?x=" . 'y' x 16_000);
    is($r->status, 500, 'a head that is too large');
    is($r->header('x-llm-error'), 'gateway_error', '... is the gateway\'s trouble');
    ok($r->json, '... told as JSON');
}

is($up->count, 0, 'nothing was sent');
is(chat($gw, 'm', path => $path)->status, 200, 'breaker and slot are as before');
ok(wait_for(sub { $gw->access('llm.log') =~ /^200/m }), 'logged');
unlike($gw->access('llm.log'), qr/client_gone/, 'no client left');
like($gw->access('llm.log'), qr/^500\|gateway_error\|network$/m, 'and the class is not "ok"');

finish();
