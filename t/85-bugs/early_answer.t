# A provider that begins its answer before it has read a large body, and then
# reads no more: the answer is cut, and nobody else goes on with it.

use lib 't/lib';
use Test::LLM;

my $up = Test::LLM::Upstream->new;
my $gw = Test::LLM::Gateway->new(vars => { UP => $up->port }, conf => <<'EOC')->start;
    llm_zone t:4m;
    log_format llm '$status|$llm_status_class|$llm_attempts';
    access_log %%DIR%%/llm.log llm;
    llm_provider a { base_url http://127.0.0.1:%%UP%%/a; timeout idle=150ms; breaker off; }
    llm_provider b { base_url http://127.0.0.1:%%UP%%/b; breaker off; }
    server {
        listen 127.0.0.1:%%PORT%%;
        client_max_body_size 20m;
        llm_retry 1 backoff=1ms..2ms;
        location /v1/  { llm_pass a b; }
        location /raw/ { llm_endpoint passthrough; llm_pass a; }
    }
EOC

my $content = [ event => '{"choices":[{"index":0,"delta":{"content":"one"}}]}' ];
my $big = chat_body('m', stream => JSON::PP::true(), messages => [ { role => 'user', content => 'x' x (12 << 20) } ]);
my @keep = map { [ pause => 50 ], $content } 1 .. 8;

$up->on('/a/*' => [ 'early', [ status => 200 ], [ header => 'Content-Type: text/event-stream' ], 'begin', 'stop-reading', $content, @keep, 'hang' ]);
$up->on('/b/*' => ok_stream([ 'two' ]));

for my $path ('/v1/chat/completions', '/raw/x') {
    my $r = $gw->http(POST => $path, {}, $big, timeout => 5);
    is($r->status, 200, "$path: it began");
    is($r->complete, 0, '... and is cut');
    like($r->body, qr/"one"/, '... after what came');
    unlike($r->body, qr/two|\[DONE\]/, '... nobody goes on');
}
is($up->count('/b/*'), 0, '... nor is anybody else asked');
ok(wait_for(sub { $gw->access('llm.log') =~ /^200\|cut\|1\n200\|cut\|1$/m }), 'in the log') or diag $gw->access('llm.log');

finish();
