# What stands around an answer: conditional requests, types with parameters,
# names that would break the log.

use lib 't/lib';
use Test::LLM;

my $up = Test::LLM::Upstream->new;
my $gw = Test::LLM::Gateway->new(vars => { UP => $up->port }, conf => <<'EOC')->start;
    llm_zone t:4m;
    gzip on; gzip_types application/json text/event-stream; gzip_min_length 1; gzip_http_version 1.0;
    charset utf-8; charset_types *;
    llm_provider a { dialect openai; base_url http://127.0.0.1:%%UP%%/v1; breaker off; }
    llm_prompt p { user "{text}"; answer json; }
    server {
        listen 127.0.0.1:%%PORT%%;
        llm_retry off;
        location = /analyze { llm_analyze p; llm_pass a; }
        location / { llm_pass a; }
    }
EOC

my $path = '/v1/chat/completions';
my $chat = '{"choices":[{"index":0,"finish_reason":"stop","message":{"content":"' . ('fine ' x 50) . '"}}]}';
my $type = 'application/json; charset=utf-8';

# ---- an answer that was paid for is sent, whatever the client compares -------------

$up->on('/*' => [ [ header => "Content-Type: $type" ], [ body => $chat ] ]);

for my $h ([ 'If-None-Match' => '*' ], [ 'If-Match' => '"x"' ], [ 'If-Match' => '*' ],
           [ 'If-Unmodified-Since' => 'Sat, 01 Jan 2000 00:00:00 GMT' ],
           [ 'If-Modified-Since' => 'Sat, 01 Jan 2039 00:00:00 GMT' ], [ Range => 'bytes=0-1' ])
{
    my $r = $gw->http(POST => $path, { @$h }, chat_body('m'));
    is($r->status, 200, "$h->[0]: $h->[1]");
    is($r->body, $chat, '... changes nothing');
    is($r->header('content-type'), $type, '... nor does a charset stand there twice');
}

# ---- a parameter of the type does not keep gzip away ----------------------------------

my $r = $gw->http(POST => $path, { 'Accept-Encoding' => 'gzip' }, chat_body('m'));
is($r->header('content-encoding'), 'gzip', 'JSON with a charset is compressed');

$up->reset;
$up->on('/*' => [ [ raw => "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nConnection: close\r\n\r\n"
    . join '', map { "data: $_\n\n" } '{"choices":[{"index":0,"delta":{"content":"x"},"finish_reason":"stop"}]}', '[DONE]' ], [ 'fin' ] ]);
$r = $gw->http(POST => $path, { 'Accept-Encoding' => 'gzip' }, chat_body('m', stream => JSON::PP::true()));
is($r->header('content-encoding'), 'gzip', 'so are events');
ok($r->complete, '... to their end');

# ---- a model's name is no line of the log ------------------------------------------------

$up->reset;
$up->on('/*' => reply(500, {}, '{}'));
$r = $gw->post('/analyze', '{"text":"x","model":"evil\n2026/01/01 00:00:00 [alert] 1#1: fake"}');
is($r->header('x-llm-error'), 'caller_model_not_found', 'control characters in a name are refused');
unlike($gw->log, qr/^2026.*fake/m, '... and not logged');

finish();
