# /analyze: JSON in, the prompt around it, the model's JSON out: unwrapped,
# repaired where that is safe, validated; never invented.

use lib 't/lib';
use Test::LLM;

my $up = Test::LLM::Upstream->new;
my $gw = Test::LLM::Gateway->new(vars => { UP => $up->port }, env => { KEY_A => 'sk-alpha-00001' },
    files => { 'prompts/system.txt' => "You rate reviews. Answer in JSON.\n{text} stays {{braces}}.\n" },
    conf => <<'EOC')->start;
    llm_zone t:4m;
    log_format llm '$request_id|$llm_error|$llm_attempts|$llm_fallbacks|$llm_status_class';
    access_log %%DIR%%/llm.log llm;
    llm_key_pool k { key env:KEY_A; cooldown off; }
    llm_provider a { dialect openai; base_url http://127.0.0.1:%%UP%%/a/v1; keys k; breaker off; }
    llm_provider b { dialect openai; base_url http://127.0.0.1:%%UP%%/b/v1; keys k; breaker off; }
    llm_model first  { provider a; id m-1; can chat json_object; }
    llm_model second { provider b; id m-2; can chat json_schema json_object; }
    llm_route both { target first; target second; }
    llm_prompt review {
        system  file:prompts/system.txt;
        user    "Task {task}: {text} / {/meta/n} / {{x}";
        set     temperature 0.1;
        set     max_tokens 200;
        answer  json schema=file:%%T%%/fixtures/app/analyze.schema.json repair=on;
    }
    llm_prompt strict {
        user    "{text}";
        answer  json schema=file:%%T%%/fixtures/app/analyze.schema.json repair=off;
    }
    server {
        listen 127.0.0.1:%%PORT%%;
        add_header X-Id $request_id always;
        llm_retry 1 backoff=1ms..2ms;
        location = /analyze { llm_analyze review; llm_pass first; }
        location = /strict  { llm_analyze strict; llm_pass first; }
        location = /both    { llm_analyze review; llm_pass both; }
        location = /second  { llm_analyze strict; llm_pass second; }
    }
EOC

sub model_says { my ($file) = @_; return fixture_text("app/model-output.$file.txt") }
sub says { my ($bytes) = @_; utf8::decode($bytes); return ok_chat($bytes) }
sub analyze {
    my ($text, %o) = @_;
    $up->reset;
    $up->on('/b/*' => says($o{b} // model_says('valid')));
    $up->on('/a/*' => ref $text ? $text : says($text));
    return $gw->post($o{path} || '/analyze', $o{body} // to_json({
        text => 'The box was "wet" {task} \\ {{', task => 'sentiment', meta => { n => [ 1, 2 ] } }));
}

# ---- the request ------------------------------------------------------------------

my $r = analyze(model_says('valid'));
is($r->status, 200, 'answered');
like($r->header('content-type'), qr{^application/json}, 'as JSON');
is($r->body, model_says('valid'), 'with the model\'s object, byte for byte');
is($r->header('x-llm-provider'), 'a', 'x-llm headers');

my $q = from_json(($up->received)[0]{body});
is($q->{model}, 'm-1', 'model of the target');
is($q->{temperature}, 0.1, 'set temperature');
is($q->{max_tokens}, 200, 'set max_tokens');
is_deeply($q->{response_format}, { type => 'json_object' }, 'JSON mode');
is(scalar @{ $q->{messages} }, 2, 'two messages');
is($q->{messages}[0]{role}, 'system', 'system first');
like($q->{messages}[0]{content}, qr/^You rate reviews\..*\{text\} stays/s, 'no members in the system text');
is($q->{messages}[1]{content}, 'Task sentiment: The box was "wet" {task} \\ {{ / [1,2] / {x}',
   'members inserted once, escaped, never scanned again');
ok(!$q->{stream}, 'not streamed');

$r = analyze(model_says('valid'), path => '/second');
$q = from_json(($up->received)[0]{body});
is($q->{response_format}{type}, 'json_schema', 'a target that can json_schema gets the schema') or diag to_json($q);
is_deeply($q->{response_format}{json_schema}{schema}, from_json(fixture_text('app/analyze.schema.json')), '... this one');

# ---- the answer ---------------------------------------------------------------------

$r = analyze(model_says('fenced'));
is($r->status, 200, 'one code fence is cut off');
is_deeply($r->json, from_json('{"sentiment":"neutral","score":0.1,"topics":[]}'), '... the object is left');
$r = analyze(model_says('chatter'));
is($r->status, 200, 'chatter around one object is cut off');
is($r->body, '{"sentiment":"neutral","score":0.1,"topics":[]}', '... the object is left, byte for byte');
$r = analyze(model_says('unicode'));
is($r->body, model_says('unicode'), 'UTF-8 and escapes survive');

for my $bad (qw(truncated wrong-type missing-key trailing-comma two-objects empty)) {
    my $r = analyze(model_says($bad));
    is($r->status, 502, "$bad: refused");
    is($r->header('x-llm-error'), 'provider_bad_answer', '... x-llm-error');
    is($r->json->{error}{code}, 'provider_bad_answer', '... error.code');
    ok(!defined $r->json->{sentiment}, '... nothing invented');
}
for my $bad (qw(fenced chatter)) {
    is(analyze(model_says($bad), path => '/strict')->status, 502, "repair=off: $bad is refused");
}
is(analyze(model_says('valid'), path => '/strict')->status, 200, 'repair=off: an object is fine');

# the next target is asked
$r = analyze(model_says('truncated'), path => '/both');
is($r->status, 200, 'an invalid answer: the next target');
is($r->body, model_says('valid'), '... answers');
is($r->header('x-llm-provider'), 'b', '... by its name');
is($r->header('x-llm-fallbacks'), 1, '... one fallback');
$r = analyze(model_says('empty'), path => '/both', b => model_says('two-objects'));
is($r->status, 502, 'all invalid');
is($r->header('x-llm-error'), 'provider_bad_answer', '... says so');

# cut by the token limit, filtered, hidden error
$r = analyze(ok_chat(model_says('valid'), finish => 'length'));
is($r->status, 502, 'an answer cut by the token limit is none, even when it looks whole');
$r = analyze(ok_chat('', finish => 'content_filter'));
cmp_ok($r->status, '>=', 400, 'a filtered answer is none');
$r = analyze([ [ 'http-file', fixture('groq/error.400-json-validate-failed.http') ] ], path => '/both');
is($r->status, 200, 'failed generation: the next target');
$r = analyze([ [ 'http-file', fixture('openrouter/chat.200-error.http') ] ], path => '/both');
is($r->status, 200, 'an error inside a 200: the next target');
$r = analyze([ [ 'http-file', fixture('hostile/not-json.http') ] ], path => '/both');
is($r->status, 200, 'HTML under application/json: the next target');
$r = analyze(reply(500, {}, '{"error":{"message":"x"}}'), path => '/both');
is($r->header('x-llm-provider'), 'b', '500: the next target');

# a large object
my $big = '{"sentiment":"neutral","score":0.1,"topics":["' . ('long ' x 200_000) . '"]}';
$r = analyze($big);
is($r->body, $big, 'an answer of 1 MB');

finish();
