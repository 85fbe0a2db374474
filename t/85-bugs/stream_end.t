# A stream that was complete ends cleanly at the client, whatever becomes of
# the provider's connection behind it; and what ends on the gateway's own
# account says so.

use lib 't/lib';
use Test::LLM;

my $up = Test::LLM::Upstream->new;
my $gw = Test::LLM::Gateway->new(vars => { UP => $up->port },
    conf => <<'EOC')->start;
    llm_zone t:4m;
    log_format llm '$request_id|$llm_error|$llm_status_class';
    access_log %%DIR%%/llm.log llm;
    llm_provider a { dialect openai; base_url http://127.0.0.1:%%UP%%/v1; breaker off; timeout idle=20s; }
    llm_provider q { dialect openai; base_url http://127.0.0.1:%%UP%%/v1; breaker off; inflight 1 queue=5 wait=20s; }
    server {
        listen 127.0.0.1:%%PORT%%;
        add_header X-Id $request_id always;
        location /v1/ { llm_retry off; llm_pass a; }
        location /d/ { llm_retry 3 deadline=500ms; llm_pass a; }
        location /q/ { llm_retry 3 deadline=500ms; llm_pass q; }
        location /hold/ { llm_pass q; }
    }
    server { listen 127.0.0.1:%%PORT_H2%% http2; location /v1/ { llm_retry off; llm_pass a; } }
EOC

sub logged {
    my ($r) = @_;
    my $id = $r->header('x-id');
    my $line = wait_for(sub { (grep { /^\Q$id\E\|/ } split /\n/, $gw->access('llm.log'))[0] });
    my @f = split /\|/, $line // '', -1;
    return "$f[1]/$f[2]";
}

my $true = JSON::PP::true();
my $last = '{"choices":[{"index":0,"delta":{"content":"x"},"finish_reason":"stop"}]}';
my $path = '/v1/chat/completions';

for my $done (0, 1) {
    for my $how ('rst', 'hang') {
        next if $how eq 'hang' && !$done;

        $up->reset;
        $up->on('/*' => [ [ event => $last ], $done ? [ chunk => 'data: [DONE]\n\n' ] : (), [ pause => 50 ], [ $how ] ]);
        my $r = chat($gw, 'm', stream => $true);
        my $name = ($done ? '[DONE]' : 'finish reason') . ", then $how";

        ok($r->complete, "$name: framed to its end");
        ok(Test::LLM::Sse::done(Test::LLM::Sse::events($r)), '... with [DONE]');
        is(() = $r->body =~ /\[DONE\]/g, 1, '... once');
        is(logged($r), '-/ok', '... and counts as done');
        cmp_ok($r->took, '<', 5, '... soon');

        my $port = $gw->port('H2');
        my $body = `curl -sS --http2-prior-knowledge -H 'Content-Type: application/json' -d '{"model":"m","messages":[],"stream":true}' http://127.0.0.1:$port$path 2>&1`;
        like($body, qr/"x".*\n\ndata: \[DONE\]\n\n\z/s, '... over HTTP/2 as well');
    }
}

# a body without length whose last event lacks its blank line
my $open = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";
my $begin = qq({"choices":[{"index":0,"delta":{"content":"one "},"finish_reason":null}]});
for my $eol ('', "\n") {
    $up->reset;
    $up->on('/*' => [ [ raw => "${open}data: $begin\n\n" ], [ pause => 30 ], [ raw => "data: $last$eol" ], [ 'fin' ] ]);
    my $r = chat($gw, 'm', stream => $true);
    is(Test::LLM::Sse::text(Test::LLM::Sse::events($r)), 'one x', 'the last event counts without its blank line');
    ok($r->complete && Test::LLM::Sse::done(Test::LLM::Sse::events($r)), '... and the stream is complete');
}
$up->reset;
$up->on('/*' => [ [ raw => "${open}data: $begin\n\n" ], [ pause => 30 ], [ raw => 'data: ' . substr $last, 0, 40 ], [ 'fin' ] ]);
my $cut = chat($gw, 'm', stream => $true);
is(Test::LLM::Sse::text(Test::LLM::Sse::events($cut)), 'one ', 'half an event does not');
ok(Test::LLM::Sse::error(Test::LLM::Sse::events($cut)), '... but cuts the stream');

# the deadline, in each state
$up->reset;
$up->on('/*' => [ [ 'hang' ] ]);
my $r = chat($gw, 'm', path => "/d$path");
is($r->status, 504, 'deadline while waiting for an answer');
is(logged($r), 'gateway_deadline/timeout_total', '... is not "ok"');

my ($holder) = start_all($gw, [ POST => "/hold$path", {}, chat_body('m') ]);
run_all(5, $holder, sub { $up->count('/*') == 2 });
$r = chat($gw, 'm', path => "/q$path");
is($r->status, 504, 'deadline in the queue');
is(logged($r), 'gateway_deadline/busy', '... with its class');
$holder->abort;

$up->reset;
$up->on('/*' => [ [ event => '{"choices":[{"index":0,"delta":{"content":"x"},"finish_reason":null}]}' ], [ 'hang' ] ]);
$r = chat($gw, 'm', path => "/d$path", stream => $true);
ok(!$r->complete, 'deadline in a stream: cut');
unlike($r->body, qr/\[DONE\]/, '... without [DONE]');
is(logged($r), 'gateway_deadline/cut', '... and says why');

finish();
