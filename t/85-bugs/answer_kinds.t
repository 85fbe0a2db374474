# Answers that are no plain completions, and refusals that come in pieces.

use lib 't/lib';
use Test::LLM;

my $up = Test::LLM::Upstream->new;
my $gw = Test::LLM::Gateway->new(vars => { UP => $up->port }, env => { KEY_A => 'sk-alpha-00001', KEY_B => 'sk-beta-000001' },
    conf => <<'EOC')->start;
    llm_zone t:4m;
    llm_key_pool two { key env:KEY_A; key env:KEY_B; select in_order; cooldown off; }
    llm_provider a { dialect openai; base_url http://127.0.0.1:%%UP%%/v1; breaker off; timeout idle=400ms first=400ms; }
    llm_provider keys { dialect openai; base_url http://127.0.0.1:%%UP%%/v1; breaker off; keys two; timeout idle=400ms; }
    llm_prompt p { user "{text}"; set model m; answer json; }
    log_format up '$uri $upstream_status';
    server {
        listen 127.0.0.1:%%PORT%%;
        access_log %%DIR%%/up.log up;
        llm_retry off;
        location = /analyze { llm_analyze p; llm_pass a; }
        location = /transcribe { llm_transcribe model=w; llm_pass a; }
        location /v1/ { llm_pass a; }
        location /again/ { llm_retry 1 backoff=1ms..2ms; llm_pass a; }
        location /keys/ { llm_retry 1; llm_pass keys; }
        location /pt/ { llm_endpoint passthrough; llm_pass a; }
    }
EOC

sub on { $up->reset; $up->on('/*' => @_) }
sub raw { [ [ raw => $_[0] ], @_[1 .. $#_] ] }
my $json = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n";
my $path = '/v1/chat/completions';

# ---- /analyze never passes a stream on --------------------------------------------

on(ok_stream([ '{"a":1}' ]));
my $r = $gw->post('/analyze', '{"text":"x"}');
is($r->status, 502, '/analyze: events where none were asked for');
is($r->header('x-llm-error'), 'provider_bad_answer', '... are a bad answer');

# ---- resources ----------------------------------------------------------------------

on(raw("HTTP/1.1 204 No Content\r\n\r\n"));
$r = $gw->http(DELETE => '/v1/responses/resp_1');
is($r->status, 204, 'DELETE answered with 204');
is($r->body, '', '... without a body');
ok(!$r->error, '... and whole');

on(raw("${json}Content-Length: 4711\r\n\r\n"));
for my $p ('/v1/models', '/pt/x') {
    $r = $gw->http(HEAD => $p);
    is($r->status, 200, "HEAD $p");
    is($r->body, '', '... without a body');
}
is($r->header('content-length'), 4711, '... with the length there would be');
is(scalar(() = $up->connections), 1, '... and the connection is kept');

on([ [ json => '{"id":"chatcmpl-1","object":"chat.completion.deleted","deleted":true}' ] ]);
is($gw->http(DELETE => "$path/chatcmpl-1")->status, 200, 'a stored completion is deleted');
on([ [ json => '{"id":"resp_1","status":"failed","error":{"code":"server_error","message":"x"}}' ] ]);
is($gw->get('/v1/responses/resp_1')->status, 200, 'a failed response can be read');
on([ [ header => 'Content-Type: text/html' ], [ body => '<html>' ] ]);
is($gw->get('/v1/responses/resp_1')->status, 502, 'a page is not taken for one');

# ---- refusals whose body does not come -----------------------------------------------

for my $how ('rst', 'fin', 'hang') {
    on(raw("HTTP/1.1 422 No\r\nContent-Type: application/json\r\nContent-Length: 930\r\n\r\n{\"error\":{\"mess", [ pause => 30 ], [ $how ]));
    $r = chat($gw, 'm');
    is($r->header('x-llm-error'), 'caller_invalid_request', "a refusal that is cut ($how) is one");

    $up->reset;
    $up->on({ key => 'sk-alpha-00001' } => raw("HTTP/1.1 401 No\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n{\"e", [ pause => 30 ], [ $how ]));
    $up->on({ key => 'sk-beta-000001' } => ok_chat('fine'));
    $r = chat($gw, 'm', path => "/keys$path");
    is($r->status, 200, '... a key that it speaks of is swapped');
}
ok(wait_for(sub { $gw->access('up.log') =~ m{/keys/\S+ 401 : 200$}m }), '... and $upstream_status tells of it')
    or diag $gw->access('up.log');

# ---- an answer without length ends with the connection, not with anything else ----------

my $form = qq{--b\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\nRIFF\r\n--b--\r\n};
for my $how ('fin', 'rst', 'hang') {
    on(raw("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nThe first half", [ pause => 30 ], [ $how ]));
    $r = $gw->http(POST => '/transcribe', { 'Content-Type' => 'multipart/form-data; boundary=b' }, $form);
    if ($how eq 'fin') {
        is($r->body, 'The first half', 'text up to the end of the connection');
    } else {
        like($r->status, qr/^50[24]$/, "... but not up to its failure ($how)") or diag $r->body;
    }
}

# ---- what an attempt left behind does not reach the next one ---------------------------------

on([ 'begin', [ chunk => 'data: {"choices":[{"index":0,"del' ], [ 'hang' ] ], ok_chat('whole'));
$r = chat($gw, 'm', path => "/again$path", stream => JSON::PP::true());
is($r->status, 200, 'half an event, then an answer in one piece');
like($r->body, qr/whole/, '... which comes');
unlike($gw->log, qr/not JSON, dropped/, '... and the half is not read with it');

# ---- a provider that does not stop ---------------------------------------------------------------

on(raw("HTTP/1.1 500 No\r\nContent-Type: text/plain\r\n\r\n", [ repeat => '3000 send ' . ('x' x 20_000) ]));
$r = chat($gw, 'm');
is($r->status, 502, 'an endless refusal is a refusal');
cmp_ok($r->took, '<', 3, '... soon');

finish();
