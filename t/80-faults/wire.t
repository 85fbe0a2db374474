# A provider whose bytes are wrong, over HTTP and TLS, alone and with another
# target behind it, streamed and not: one good answer, or one honest error.

use lib 't/lib';
use Test::LLM;

my $ca = Test::LLM::Tls->new;
my $plain = Test::LLM::Upstream->new;
my $tls = Test::LLM::Upstream->new(tls => $ca->cert('provider.test', 'DNS:provider.test', 'IP:127.0.0.1'));
my $good = Test::LLM::Upstream->new;
$good->on('/*' => ok_chat('from the spare'));

my $gw = Test::LLM::Gateway->new(
    vars => { PLAIN => $plain->port, TLS => $tls->port, GOOD => $good->port, CA => $ca->file },
    env => { KEY_A => 'sk-alpha-00001' }, conf => <<'EOC')->start;
    llm_zone t:8m;
    llm_key_pool k { key env:KEY_A; cooldown off; }
    llm_provider p { dialect openai; base_url http://127.0.0.1:%%PLAIN%%/v1; keys k; breaker off; timeout header=2s first=2s idle=2s; }
    llm_provider t { dialect openai; base_url https://127.0.0.1:%%TLS%%/v1; keys k; breaker off; timeout header=2s first=2s idle=2s; ssl_trusted_certificate %%CA%%; ssl_name provider.test; }
    llm_provider g { dialect openai; base_url http://127.0.0.1:%%GOOD%%/v1; breaker off; }
    server {
        listen 127.0.0.1:%%PORT%%;
        llm_retry off;
        location /p/  { llm_pass p; }
        location /t/  { llm_pass t; }
        location /pg/ { llm_pass p g; }
        location /tg/ { llm_pass t g; }
    }
EOC

my $answer = '{"id":"1","object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"short"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}';
my $len = length $answer;
my $half = substr $answer, 0, 80;
my $J = "Content-Type: application/json";
sub raw { [ (map { ref $_ ? $_ : [ raw => $_ ] } @_) ] }

# [ what, script, how it must end alone: status and error ]; the next target is
# always asked
my @before = (
    [ 'reset on accept', undef, 502, 'provider_unreachable', [ 'rst' ] ],
    [ 'closed on accept', undef, 502, 'provider_unreachable', [ 'fin' ] ],
    [ 'reset after the request', [ 'rst' ], 502, 'provider_unreachable' ],
    [ 'closed after the request', [ 'fin' ], 502, 'provider_unreachable' ],
    [ 'reset inside the head', raw("HTTP/1.1 200 OK\r\nContent-", [ pause => 30 ], [ 'rst' ]), 502, undef ],
    [ 'closed inside the head', raw("HTTP/1.1 200 OK\r\nContent-", [ 'fin' ]), 502, undef ],
    [ 'another protocol', raw("SSH-2.0-OpenSSH_9\r\n", [ 'fin' ]), 502, undef ],
    [ 'binary garbage', [ [ 'send-hex' => '16030100ff00ff00ff00' ], [ 'fin' ] ], 502, undef ],
    [ 'text without a head', raw("$answer", [ 'fin' ]), 502, undef ],
    [ 'a head larger than the buffer', raw("HTTP/1.1 200 OK\r\nX-Long: " . ('x' x 70_000) . "\r\n\r\n", [ 'fin' ]), 502, undef ],
    [ 'two lengths', raw("HTTP/1.1 200 OK\r\n$J\r\nContent-Length: $len\r\nContent-Length: 5\r\n\r\n$answer", [ 'fin' ]), 502, undef ],
    [ 'a length and chunks', raw("HTTP/1.1 200 OK\r\n$J\r\nContent-Length: $len\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n\r\n", [ 'fin' ]), 502, undef ],
    [ 'a negative length', raw("HTTP/1.1 200 OK\r\n$J\r\nContent-Length: -5\r\n\r\n$answer", [ 'fin' ]), 502, undef ],
    [ 'an invalid first chunk', raw("HTTP/1.1 200 OK\r\n$J\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n", [ 'fin' ]), 502, undef ],
    [ 'an empty 200', raw("HTTP/1.1 200 OK\r\n$J\r\nContent-Length: 0\r\n\r\n"), 502, 'provider_bad_answer' ],
    [ 'a 204', raw("HTTP/1.1 204 No Content\r\n\r\n"), 502, undef ],
    [ 'a 304', raw("HTTP/1.1 304 Not Modified\r\n\r\n"), 502, undef ],
    [ 'status 999', raw("HTTP/1.1 999 Odd\r\n$J\r\nContent-Length: 2\r\n\r\n{}"), 502, undef ],
    [ 'JSON that is cut', raw("HTTP/1.1 200 OK\r\n$J\r\nContent-Length: 80\r\n\r\n$half"), 502, 'provider_bad_answer' ],
    [ 'an HTML page', [ [ 'http-file', fixture('openai/error.502-html.http') ] ], 502, 'provider_error' ],
    [ 'a 503 without a body', [ [ 'http-file', fixture('openai/error.503-empty.http') ] ], 502, 'provider_error' ],
);

# an answer that stops before its end, before anything could reach the client
my @cut = (
    [ 'shorter than its length', raw("HTTP/1.1 200 OK\r\n$J\r\nContent-Length: " . ($len + 50) . "\r\n\r\n$answer", [ 'fin' ]) ],
    [ 'a reset inside the body', raw("HTTP/1.1 200 OK\r\n$J\r\nContent-Length: $len\r\n\r\n$half", [ pause => 50 ], [ 'rst' ]) ],
    [ 'chunks without an end', raw("HTTP/1.1 200 OK\r\n$J\r\nTransfer-Encoding: chunked\r\n\r\n50\r\n$half\r\n", [ pause => 50 ], [ 'fin' ]) ],
    [ 'an invalid later chunk', raw("HTTP/1.1 200 OK\r\n$J\r\nTransfer-Encoding: chunked\r\n\r\n50\r\n$half\r\n", [ pause => 50 ], "zzz\r\n", [ 'fin' ]) ],
);

sub ask { my ($where, $stream) = @_; return chat($gw, 'm', path => "/$where/v1/chat/completions", $stream ? (stream => JSON::PP::true()) : ()) }

for my $secure (0, 1) {
    my $up = $secure ? $tls : $plain;
    my ($alone, $both) = $secure ? qw(t tg) : qw(p pg);
    my $proto = $secure ? 'TLS' : 'HTTP';

    for my $row (@before) {
        my ($name, $script, $status, $error, $connect) = @$row;
        subtest "$proto: $name" => sub {
            for my $stream (0, 1) {
                $up->reset;
                $up->on_connect($connect) if $connect;
                $up->on('/*' => $script) if $script;
                my $r = ask($alone, $stream);
                is($r->status, $status, "alone: $status") or diag $r->wire;
                is($r->header('x-llm-error'), $error, "alone: $error") if $error;
                like($r->header('x-llm-error') // '', qr/^provider_/, 'alone: a provider\'s fault');
                ok($r->json && $r->json->{error}, 'alone: an error in JSON') or diag $r->wire;
                ok($r->complete, 'alone: complete');

                $r = ask($both, $stream);
                is($r->status, 200, 'the next target answers') or diag $r->wire;
                is($r->json && $r->json->{choices}[0]{message}{content}, 'from the spare', '... and nothing else');
                is($r->header('x-llm-attempts'), 2, '... at the second attempt');
            }
        };
    }

    for my $row (@cut) {
        my ($name, $script) = @$row;
        subtest "$proto: $name" => sub {
            $up->reset;
            $up->on('/*' => $script);
            my $r = ask($alone);
            ok($r->status == 502 || !$r->complete, 'alone: an error or a visibly cut answer') or diag $r->wire;
            $r = ask($both);
            ok(($r->status == 200 && $r->json && $r->json->{choices}[0]{message}{content} eq 'from the spare')
                || !$r->complete, 'with another target: its answer, or visibly cut') or diag $r->wire;
        };
    }

    # ---- what looks odd but is fine --------------------------------------------------------

    my %fine = (
        '100 Continue first' => raw("HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 200 OK\r\n$J\r\nContent-Length: $len\r\n\r\n$answer"),
        '103 Early Hints first' => raw("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n", "HTTP/1.1 200 OK\r\n$J\r\nContent-Length: $len\r\n\r\n$answer"),
        'HTTP/1.0 to the end of the connection' => raw("HTTP/1.0 200 OK\r\n$J\r\n\r\n$answer", [ 'fin' ]),
        'more than its length' => raw("HTTP/1.1 200 OK\r\n$J\r\nContent-Length: $len\r\n\r\n$answer and more", [ 'fin' ]),
        'a byte at a time' => [ [ slice => '1 0' ], @{ raw("HTTP/1.1 200 OK\r\n$J\r\nContent-Length: $len\r\n\r\n$answer") } ],
        'white space in front' => [ [ 'http-file', fixture('openrouter/chat.leading-whitespace.http') ] ],
        'control headers' => raw("HTTP/1.1 200 OK\r\n$J\r\nX-Accel-Redirect: /p/v1/secret\r\nX-Accel-Buffering: no\r\nX-Accel-Limit-Rate: 1\r\nX-Accel-Expires: 0\r\nX-Accel-Charset: koi8-r\r\nContent-Length: $len\r\n\r\n$answer"),
        'a length in capital letters' => raw("HTTP/1.1 200 OK\r\n$J\r\nCONTENT-LENGTH: $len\r\n\r\n$answer"),
        'chunked with a trailer' => raw("HTTP/1.1 200 OK\r\n$J\r\nTransfer-Encoding: chunked\r\n\r\n" . sprintf("%x", $len) . "\r\n$answer\r\n0\r\nX-Trailer: 1\r\n\r\n"),
    );
    for my $name (sort keys %fine) {
        $up->reset;
        $up->on('/*' => $fine{$name});
        my $r = ask($alone);
        is($r->status, 200, "$proto: $name") or diag $r->wire;
        ok($r->json && $r->json->{choices}, '... the answer') or diag $r->wire;
        unlike($r->head, qr/x-accel|koi8/i, '... no control headers') if $name =~ /control/;
        ok($r->complete, '... complete');
        is($up->count, 1, '... one send');
    }

    # ---- a kept connection that died meanwhile ----------------------------------------------

    $up->reset;
    $up->on('/*' => ok_chat('first'), ok_chat('second'));
    ask($alone);
    $up->close_all;
    my $r = ask($alone);
    is($r->status, 200, "$proto: a kept connection that was closed is replaced");
    is($r->header('x-llm-attempts'), 1, '... without counting');

    $up->reset;
    $up->on('/*' => ok_chat('first'), [ 'rst' ], ok_chat('third'));
    ask($alone);
    $r = ask($alone);
    is($r->status, 200, "$proto: a kept connection that is reset on reuse: once more on a new one");

    # ---- an answer before the request was sent -----------------------------------------------

    $up->reset;
    $up->on('/*' => [ 'early', @{ reply(413, {}, '{"error":{"message":"too big","type":"invalid_request_error"}}') }, [ pause => 300 ], 'fin' ]);
    $r = $gw->http(POST => "/$alone/v1/chat/completions", {}, chat_body('m', x => 'y' x 900_000));
    is($r->status, 413, "$proto: an early refusal") or diag $r->wire;
    $up->on('/*' => ok_chat('fine'));
    is(ask($alone)->status, 200, '... and the next request is fine');
}

finish();
