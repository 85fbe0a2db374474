# Retries and fallback: what is asked again, what goes on to the next target,
# and what is final.  The provider's record is the judge.

use lib 't/lib';
use Test::LLM;

my $up = Test::LLM::Upstream->new;
my $gw = Test::LLM::Gateway->new(vars => { UP => $up->port, SILENT => silent_port() },
    env => { KEY_A => 'sk-alpha-00001' }, conf => <<'EOC')->start;
    llm_zone t:8m;
    log_format llm '$request_id|$llm_attempts|$llm_fallbacks|$llm_error|$llm_status_class|$upstream_status';
    access_log %%DIR%%/llm.log llm;
    client_max_body_size 10m;
    llm_key_pool k { key env:KEY_A; cooldown off; }
    llm_provider a { dialect openai; base_url http://127.0.0.1:%%UP%%/a/v1; keys k; breaker off; timeout header=400ms first=400ms total=700ms; }
    llm_provider b { dialect openai; base_url http://127.0.0.1:%%UP%%/b/v1; breaker off; }
    llm_provider c { dialect openai; base_url http://127.0.0.1:%%UP%%/c/v1; breaker off; }
    llm_provider d { dialect openai; base_url http://127.0.0.1:%%UP%%/d/v1; breaker off; }
    llm_provider dead { dialect openai; base_url http://127.0.0.1:%%SILENT%%/v1; breaker off; }
    llm_model ma { provider a; id m-a; context 8k; }
    llm_model mb { provider b; id m-b; context 128k; }
    llm_model mc { provider c; id m-c; context 4k; }
    llm_route ab { target ma; target mb; }
    llm_route abc { target ma; target mb; target mc; }
    llm_route ac { target ma; target mc; }
    llm_route only-timeout { target ma; target mb on=timeout; }
    llm_route only-bad { target ma; target mb on=bad_answer,error; }
    llm_route filter { target ma; target mb on=content_filter; }
    llm_route dead-first { target dead; target mb; }
    server {
        listen 127.0.0.1:%%PORT%%;
        add_header X-Id $request_id always;
        location /alone/    { llm_retry 2 backoff=1ms..20ms budget=1000%; llm_pass ma; }
        location /off/      { llm_retry off; llm_pass ma; }
        location /off-ab/   { llm_retry off; llm_pass ab; }
        location /two-ab/   { llm_retry 2 backoff=1ms..20ms budget=1000%; llm_pass ab; }
        location /abc/      { llm_retry 1 backoff=1ms..2ms budget=1000%; llm_pass abc; }
        location /ac/       { llm_retry 1 backoff=1ms..2ms budget=1000%; llm_pass ac; }
        location /slow/     { llm_retry 5 backoff=2s..4s budget=1000% deadline=700ms; llm_pass ma; }
        location /timeout/  { llm_retry off; llm_pass only-timeout; }
        location /bad/      { llm_retry off; llm_pass only-bad; }
        location /filter/   { llm_retry off; llm_pass filter; }
        location /dead/     { llm_retry off; llm_pass dead-first; }
        location /dead-only/ { llm_retry 1 backoff=1ms..2ms; llm_pass dead; }
        location /budget/   { llm_retry 3 backoff=1ms..2ms budget=10%; llm_pass d; }
        location /default/  { llm_pass ma; }
    }
EOC

sub run_a {
    my ($where, $script, %o) = @_;
    $up->reset;
    $up->on('/b/*' => ok_chat('from b'));
    $up->on('/c/*' => ok_chat('from c'));
    $up->on('/a/*' => ref $script->[0] && ref $script->[0][0] ? @$script : $script);
    return chat($gw, 'x', path => "/$where/v1/chat/completions", %o);
}
sub sends { join ' ', map { my $p = $_; "$p" . $up->count("/$p/*") } qw(a b) }
sub file { [ [ 'http-file', fixture($_[0]) ] ] }

# ---- the matrix --------------------------------------------------------------------------
# [ what, script of a, alone with two retries: sends, status, error;
#   with b behind it and two retries: sends of a and b, status ]

my $oops = '{"error":{"message":"oops","type":"server_error"}}';
my @matrix = (
    [ 'status 500', reply(500, {}, $oops),                         3, 502, 'provider_error', 'a2 b1', 200 ],
    [ '502 HTML', file('openai/error.502-html.http'),       3, 502, 'provider_error', 'a2 b1', 200 ],
    [ '503 empty', file('openai/error.503-empty.http'),     3, undef, undef, undef, 200 ],
    [ 'status 504', reply(504, {}, $oops),                         3, undef, undef, 'a2 b1', 200 ],
    [ 'status 408', reply(408, {}, $oops),                         3, 502, 'provider_error', 'a2 b1', 200 ],
    [ 'status 409', reply(409, {}, $oops),                         3, 502, 'provider_error', 'a2 b1', 200 ],
    [ 'status 529', reply(529, {}, $oops),                         3, 503, 'provider_overloaded', 'a1 b1', 200 ],
    [ '503 overloaded', file('openai/error.503-overloaded.http'), 3, 503, 'provider_overloaded', 'a1 b1', 200 ],
    [ 'status 498', file('groq/error.498-flex.http'),              3, 503, 'provider_overloaded', 'a1 b1', 200 ],
    [ 'a silent provider', [ 'hang' ],                      undef, 504, 'provider_timeout', 'a1 b1', 200 ],
    [ '404 model', file('openai/error.404-model.http'),     1, undef, undef, 'a1 b1', 200 ],
    [ 'status 401', file('openai/error.401.http'),                 1, 502, 'provider_auth', 'a1 b1', 200 ],
    [ 'status 402', file('openrouter/error.402.http'),             1, 502, 'provider_auth', 'a1 b1', 200 ],
    [ 'status 400', reply(400, {}, '{"error":{"message":"bad temperature","type":"invalid_request_error","param":"temperature","code":null}}'), 1, 400, 'caller_invalid_request', 'a1 b0', 400 ],
    [ 'status 422', file('speaches/error.422.http'),               1, 422, 'caller_invalid_request', 'a1 b0', 422 ],
    [ 'status 413', file('openai/error.413-audio.http'),           1, 413, undef, 'a1 b0', 413 ],
    [ 'content policy', file('openai/error.400-content-policy.http'), 1, 400, 'caller_content_filter', 'a1 b0', 400 ],
    [ 'context length', file('openai/error.400-context-length.http'), 1, 400, 'caller_context_length', 'a1 b1', 200 ],
    [ 'failed generation', file('groq/error.400-json-validate-failed.http'), undef, 502, 'provider_bad_answer', undef, 200 ],
    [ 'an empty 200', reply(200, { 'Content-Type' => 'application/json' }, ''), undef, 502, 'provider_bad_answer', undef, 200 ],
    [ 'a 200 that is HTML', file('hostile/not-json.http'),  undef, 502, 'provider_bad_answer', undef, 200 ],
    [ 'an error inside a 200', file('openrouter/chat.200-error.http'), undef, undef, undef, undef, 200 ],
    [ 'a redirect', reply(302, { Location => 'http://127.0.0.1/' }, ''), undef, 502, 'provider_bad_answer', undef, 200 ],
);

for my $row (@matrix) {
    my ($name, $script, $sends, $status, $error, $both, $both_status) = @$row;
    subtest $name => sub {
        my $r = run_a('alone', $script);
        is($up->count('/a/*'), $sends, "alone: $sends sends") if defined $sends;
        cmp_ok($up->count('/a/*'), '<=', 3, 'alone: never more than told');
        is($r->status, $status, "alone: $status") if defined $status;
        cmp_ok($r->status, '>=', 400, 'alone: an error');
        is($r->header('x-llm-error'), $error, "alone: $error") if defined $error;
        is($r->header('x-llm-attempts'), $up->count('/a/*'), 'alone: attempts counted');
        like($r->header('content-type'), qr{^application/json}, 'alone: JSON');
        ok(length($r->json->{error}{message} // $r->json->{detail} // ''), 'alone: a message') or diag $r->body;
        is($r->header('x-should-retry'), 'false', 'alone: x-should-retry: false') if $r->status >= 500;
        ok($r->header('retry-after'), 'alone: Retry-After') if $r->status == 503 || $r->status == 429;

        for my $stream (0, 1) {
            my $how = $stream ? 'stream' : 'plain';
            $r = run_a('two-ab', $script, $stream ? (stream => JSON::PP::true()) : ());
            is(sends(), $both, "with b, $how: $both") if defined $both;
            is($r->status, $both_status, "with b, $how: $both_status") or diag $r->wire;
            is($r->header('x-llm-fallbacks') // 0, $both_status == 200 ? 1 : 0, "with b, $how: fallbacks");
        }

        $r = run_a('off', $script);
        is($up->count('/a/*'), 1, 'llm_retry off: one send');
    };
}

# ---- details ---------------------------------------------------------------------------

my $r = run_a('alone', [ reply(500, {}, $oops), ok_chat('second') ]);
is($r->status, 200, 'a retry that helps');
is($r->header('x-llm-attempts'), 2, '... two attempts');
is($r->header('x-llm-fallbacks') // 0, 0, '... no fallback');
is(($up->received)[0]{body}, ($up->received)[1]{body}, '... the same body');

$r = run_a('off-ab', reply(500, {}, $oops));
is(sends(), 'a1 b1', 'llm_retry off keeps the next target');

$r = run_a('alone', reply(400, {}, '{"error":{"message":"bad temperature","type":"invalid_request_error","param":"temperature","code":null}}'));
is($r->body, '{"error":{"message":"bad temperature","type":"invalid_request_error","param":"temperature","code":null}}',
   'a caller\'s mistake in the client\'s dialect passes unchanged');

$r = run_a('alone', reply(400, {}, '<html>Bad</html>'));
is($r->status, 400, 'a 400 that is HTML');
ok($r->json && $r->json->{error}{message}, '... becomes JSON') or diag $r->body;

$r = run_a('ac', file('openai/error.400-context-length.http'));
is($up->count('/c/*'), 0, 'context length: not to a target with a smaller context');
is($r->json->{error}{code}, 'context_length_exceeded', '... the client learns the cause');

$r = run_a('filter', file('openai/error.400-content-policy.http'));
is($r->status, 200, 'on=content_filter: asked for, so it goes on');

$r = run_a('timeout', reply(500, {}, $oops));
is(sends(), 'a1 b0', 'on=timeout: not for a 500');
is($r->status, 502, '... the failure is the answer');
$r = run_a('timeout', [ 'hang' ]);
is(sends(), 'a1 b1', 'on=timeout: for a timeout');
$r = run_a('bad', [ 'hang' ]);
is(sends(), 'a1 b0', 'on=bad_answer,error: not for a timeout');
$r = run_a('bad', reply(500, {}, $oops));
is(sends(), 'a1 b1', 'on=bad_answer,error: for a 500');

$r = run_a('alone', reply(500, { 'x-should-retry' => 'false' }, $oops));
is($up->count('/a/*'), 1, 'a provider that says x-should-retry: false is not asked again');
$r = run_a('two-ab', reply(500, { 'x-should-retry' => 'false' }, $oops));
is(sends(), 'a1 b1', '... the next target is');

$r = run_a('dead', ok_chat('never'));
is($r->status, 200, 'a refused connection: the next target');
is($r->header('x-llm-provider'), 'b', '... answers');
$r = run_a('dead-only', ok_chat('never'));
is($r->status, 502, 'refused, and nothing else');
is($r->header('x-llm-error'), 'provider_unreachable', '... x-llm-error');

$r = run_a('abc', reply(500, {}, $oops));
is($r->header('x-llm-provider'), 'b', 'a chain of three');
$up->on('/b/*' => reply(500, {}, $oops));
$r = chat($gw, 'x', path => '/abc/v1/chat/completions');
is($r->header('x-llm-provider'), 'c', '... down to the third');
is($r->header('x-llm-fallbacks'), 2, '... two fallbacks');
$up->on('/c/*' => reply(500, {}, $oops));
$r = chat($gw, 'x', path => '/abc/v1/chat/completions');
is($r->status, 502, '... and to the end');
is($r->header('x-should-retry'), 'false', '... where the client is told to stop');

# backoff and deadline
$r = run_a('slow', reply(500, {}, $oops));
cmp_ok($r->status, '>=', 500, 'the deadline ends the retries');
cmp_ok($r->took, '<', 1.2, '... in time; one that cannot be in time is not waited for');
$r = run_a('slow', [ [ pause => 5000 ], @{ ok_chat('late') } ]);
cmp_ok($r->took, '<', 2, 'the deadline ends an attempt as well');
is($r->status, 504, '... with 504');

# budget: a provider that is down is not flooded; ten free retries in a burst
$up->reset;
$up->on('/d/*' => reply(500, {}, $oops));
my $t0 = now();
chat($gw, 'x', path => '/budget/v1/chat/completions') for 1 .. 30;
my $retries = $up->count('/d/*') - 30;
cmp_ok($retries, '<=', 3 + 10 + 2 * (now() - $t0), "a retry budget of 10 %: $retries retries for 30 requests");
cmp_ok($retries, '>=', 1, '... not none');

# ---- streams: before the first content everything, after it nothing -----------------------

my $true = JSON::PP::true();
for my $case (
    [ 'error as the first event', event_script('{"error":{"message":"overloaded","type":"server_error"}}'), 1 ],
    [ 'error after the role chunk', event_script('{"choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}', '{"error":{"message":"x","code":500}}'), 1 ],
    [ 'an end before content', event_script('{"choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}'), 1 ],
    [ 'a reset before content', event_script('{"choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}', [ 'rst' ]), 1 ],
    [ 'a reset right after the head', [ 'begin', [ pause => 20 ], 'rst' ], 1 ],
    [ 'nothing after the head', [ 'begin', 'hang' ], 1 ],
    [ 'only comments', [ 'begin', [ chunk => ': wait\n\n' ], [ pause => 100 ], [ chunk => ': wait\n\n' ], 'hang' ], 1 ],
    [ 'an empty stream', [ 'begin' ], 1 ],
    [ 'a reset after content', event_script('{"choices":[{"index":0,"delta":{"content":"some"}}]}', [ pause => 50 ], [ 'rst' ]), 0 ],
    [ 'an error after content', event_script('{"choices":[{"index":0,"delta":{"content":"some"}}]}', [ pause => 50 ], '{"error":{"message":"x","code":500}}'), 0 ],
) {
    my ($name, $script, $again) = @$case;
    my $r = run_a('off-ab', $script, stream => $true);
    my @e = Test::LLM::Sse::events($r);
    if ($again) {
        is(sends(), 'a1 b1', "$name: the next target");
        is($r->json && $r->json->{choices}[0]{message}{content}, 'from b', '... nothing of the first leaks') or diag $r->wire;
    } else {
        is(sends(), 'a1 b0', "$name: nothing is sent twice");
        is(Test::LLM::Sse::text(@e), 'some', '... what came stays');
        ok(Test::LLM::Sse::error(@e), '... an error event') or diag $r->wire;
        ok(!Test::LLM::Sse::done(@e), '... no [DONE]');
    }
}

# logs
$r = run_a('two-ab', reply(500, {}, $oops));
my $id = $r->header('x-id');
my ($line) = wait_for(sub { (grep { /^\Q$id\E\|/ } split /\n/, $gw->access('llm.log'))[0] });
like($line, qr/\|3\|1\|-?\|/, 'attempts, fallbacks, no error') or diag $line;

finish();
