# OpenAI's chat in front of a Gemini provider: what goes out, what comes back,
# whole and event by event.

use lib 't/lib';
use Test::LLM;

my $up = Test::LLM::Upstream->new;
my $gw = Test::LLM::Gateway->new(vars => { UP => $up->port }, env => { KEY_A => 'AIzaSyAlpha0001', KEY_B => 'AIzaSyBeta00001' },
    conf => <<'EOC')->start;
    llm_zone t:4m;
    log_format llm '$request_id|$llm_input_tokens|$llm_cached_tokens|$llm_output_tokens|$llm_error|$llm_status_class|$llm_cost';
    access_log %%DIR%%/llm.log llm;
    llm_key_pool two { select in_order; key env:KEY_A; key env:KEY_B; }
    llm_key_pool k { key env:KEY_A; cooldown off; }
    llm_provider a { dialect gemini; base_url http://127.0.0.1:%%UP%%; keys k; breaker off; }
    llm_provider v { dialect gemini; base_url http://127.0.0.1:%%UP%%/x/v1beta; key env:KEY_A; breaker off; }
    llm_provider p { dialect gemini; base_url http://127.0.0.1:%%UP%%/pool; keys two; breaker off; }
    llm_provider native { dialect gemini; base_url http://127.0.0.1:%%UP%%/v1beta; keys k; breaker off; }
    llm_provider own { dialect gemini; base_url http://127.0.0.1:%%UP%%; key client; breaker off; }
    llm_provider o { dialect openai; base_url http://127.0.0.1:%%UP%%/o; key env:KEY_A; breaker off; }
    llm_model m { provider a; id gemini-3.5-flash; price input=3 output=15; }
    llm_model old { provider v; id models/gemini-2.5-flash; }
    llm_model pooled { provider p; id gemini-3.5-flash; }
    llm_model mine { provider own; id gemini-3.5-flash; }
    llm_model other { provider o; id gpt; }
    llm_route mixed { target m; target other; }
    llm_route filtered { target m; target other on=content_filter; }
    client_max_body_size 8m;
    llm_prompt rate { user "{text}"; answer json; }
    server {
        listen 127.0.0.1:%%PORT%%;
        add_header X-Id $request_id always;
        location /v1/ { llm_retry off; llm_pass $llm_model; }
        location /rate { llm_retry off; llm_analyze rate; llm_pass m; }
        location /again/ { llm_retry 2 backoff=10ms..20ms; llm_pass $llm_model; }
        location /v1beta/ { llm_pass native; llm_endpoint passthrough; }
    }
EOC

my $true = JSON::PP::true();
my $false = JSON::PP::false();

sub file { from_json(fixture_text($_[0])) }
sub json { [ [ json => fixture_text("gemini/$_[0]") ] ] }

# sends a chat request, answers with a fixture; (response, what went out)
sub ask {
    my ($body, $script) = @_;
    $up->reset;
    $up->on('/*' => $script // json('generate.response.json'));
    my $r = $gw->post('/v1/chat/completions', to_json($body));
    my ($q) = $up->received;
    return ($r, $q, $q && from_json($q->{body}));
}

sub logged {
    my ($r) = @_;
    my $id = $r->header('x-id');
    my $line = wait_for(sub { (grep { /^\Q$id\E\|/ } split /\n/, $gw->access('llm.log'))[0] });
    return split /\|/, $line // '', -1;
}

my @hi = (messages => [ { role => 'user', content => 'Hi' } ]);
my @sent = (contents => [ { role => 'user', parts => [ { text => 'Hi' } ] } ]);

# ---- the head -------------------------------------------------------------------

my ($r, $q, $out) = ask({ model => 'm', @hi });
is($r->status, 200, 'served');
is($q->{path}, '/v1beta/models/gemini-3.5-flash:generateContent', 'path');
is($q->{h}{'x-goog-api-key'}, 'AIzaSyAlpha0001', 'key in x-goog-api-key');
is($q->{h}{authorization}, undef, 'no Authorization');
is($q->{h}{'content-type'}, 'application/json', 'JSON');
is_deeply($out, { @sent }, 'the smallest request');

($r, $q) = ask({ model => 'old', @hi });
is($q->{path}, '/x/v1beta/models/gemini-2.5-flash:generateContent', 'nothing is doubled');

$up->reset;
$up->on('/*' => json('generate.response.json'));
$r = $gw->http(POST => '/v1/chat/completions?key=secret', { 'x-goog-api-key' => 'AIzaOfTheClient' }, to_json({ model => 'mine', @hi }));
($q) = $up->received;
is($q->{h}{'x-goog-api-key'}, 'AIzaOfTheClient', 'key client: x-goog-api-key');
is($q->{path}, '/v1beta/models/gemini-3.5-flash:generateContent', '... no query');

# ---- requests -------------------------------------------------------------------

($r, $q, $out) = ask({ model => 'm', max_completion_tokens => 64, max_tokens => 9, temperature => 1.5, stop => [ 'END', '' ],
    user => 'u-1', top_k => 5, seed => 7, logprobs => $false, service_tier => 'flex', metadata => { a => 'b' }, logit_bias => { 1 => 2 },
    messages => [ { role => 'system', content => 'One.' }, { role => 'user', content => 'Hi' },
                  { role => 'developer', content => [ { type => 'text', text => 'Two.' } ] },
                  { role => 'assistant', content => '' }, { role => 'user', content => [ { type => 'text', text => '' }, { type => 'text', text => 'Ho' } ] } ] });
is_deeply($out, { systemInstruction => { parts => [ { text => 'One.' }, { text => 'Two.' } ] },
    contents => [ { role => 'user', parts => [ { text => 'Hi' }, { text => 'Ho' } ] } ], serviceTier => 'flex',
    generationConfig => { maxOutputTokens => 64, temperature => 1.5, topK => 5, seed => 7, stopSequences => [ 'END' ] } },
    'roles, limits, stops, sampling') or diag explain $out;
is(join(' ', sort split /, /, $r->header('x-llm-dropped')), 'logit_bias metadata user', 'what was left out');

($r, $q, $out) = ask({ %{ file('openai/chat.request.json') }, model => 'm' });
is_deeply($out, file('gemini/generate.request.json'), 'a plain request');

my $conversation = file('openai/chat.tool-result.request.json');
($r, $q, $out) = ask({ %$conversation, model => 'old' });
my $want = file('gemini/generate.tool-result.request.json');
my @ids = qw(call_fxA9 call_fxB2);
delete $want->{contents}[1]{parts}[0]{thoughtSignature};
for (0, 1) {
    $want->{contents}[1]{parts}[$_]{functionCall}{id} = $ids[$_];
    $want->{contents}[2]{parts}[$_]{functionResponse}{id} = $ids[$_];
}
is_deeply($out->{contents}, $want->{contents}, 'a round of tools') or diag explain $out->{contents};
is_deeply($out->{tools}, file('gemini/generate.tools.request.json')->{tools}, 'tools');
($r, $q, $out) = ask({ %$conversation, model => 'm' });
is($out->{contents}[1]{parts}[0]{thoughtSignature}, 'skip_thought_signature_validator', 'a call that another model made');

my @tools = (tools => [ { type => 'function', function => { name => 'f' } } ]);
for ([ 'auto', { mode => 'AUTO' } ], [ 'none', { mode => 'NONE' } ], [ 'required', { mode => 'ANY' } ],
     [ { type => 'function', function => { name => 'f' } }, { mode => 'ANY', allowedFunctionNames => [ 'f' ] } ],
     [ { type => 'allowed_tools', allowed_tools => { mode => 'auto', tools => [ { type => 'function', function => { name => 'f' } } ] } },
       { mode => 'AUTO', allowedFunctionNames => [ 'f' ] } ])
{
    my ($choice, $want) = @$_;
    ($r, $q, $out) = ask({ model => 'm', @hi, @tools, tool_choice => $choice });
    is_deeply($out->{toolConfig}, { functionCallingConfig => $want }, 'tool_choice ' . to_json($choice));
}
is_deeply($out->{tools}, [ { functionDeclarations => [ { name => 'f' } ] } ], 'a tool without parameters');
($r, $q, $out) = ask({ model => 'm', @hi, @tools, parallel_tool_calls => $false });
is($r->header('x-llm-dropped'), 'parallel_tool_calls', 'one call at a time cannot be asked for');

($r, $q, $out) = ask({ %{ file('openai/chat.image.request.json') }, model => 'm' });
is_deeply([ grep { $_->{inlineData} } @{ $out->{contents}[0]{parts} } ],
    [ grep { $_->{inlineData} } @{ file('gemini/generate.image.request.json')->{contents}[0]{parts} } ], 'an image in base64');
($r, $q, $out) = ask({ %{ file('openai/chat.image-url.request.json') }, model => 'm' });
like((grep { $_->{fileData} } @{ $out->{contents}[0]{parts} })[0]{fileData}{fileUri}, qr{^https://}, 'an image by URL');
($r, $q, $out) = ask({ %{ file('openai/chat.audio.request.json') }, model => 'm' });
is((grep { $_->{inlineData} } @{ $out->{contents}[0]{parts} })[0]{inlineData}{mimeType}, 'audio/wav', 'sound');

($r, $q, $out) = ask({ %{ file('openai/chat.json-schema.request.json') }, model => 'm' });
is_deeply($out->{generationConfig}{responseJsonSchema}, file('openai/chat.json-schema.request.json')->{response_format}{json_schema}{schema}, 'a JSON schema');
is($out->{generationConfig}{responseMimeType}, 'application/json', '... with its type');

($r, $q, $out) = ask({ model => 'm', @hi, reasoning_effort => 'high' });
is_deeply($out->{generationConfig}{thinkingConfig}, { thinkingLevel => 'HIGH', includeThoughts => $true }, 'effort: a level');
($r, $q, $out) = ask({ model => 'old', @hi, reasoning_effort => 'high' });
is_deeply($out->{generationConfig}{thinkingConfig}, { thinkingBudget => 24576, includeThoughts => $true }, '... a budget for older models');
($r, $q, $out) = ask({ model => 'm', @hi, safety_settings => [ { category => 'HARM_CATEGORY_HARASSMENT', threshold => 'OFF' } ] });
is_deeply($out->{safetySettings}, [ { category => 'HARM_CATEGORY_HARASSMENT', threshold => 'OFF' } ], 'safety');

# bytes and numbers stay what they are
$up->reset;
$up->on('/*' => json('generate.response.json'));
my $odd = '"\u0000\ud83d\ude00\ud800 \"\\\\ \/ \u00e9 ü"';
$r = $gw->post('/v1/chat/completions', '{"model":"m","temperature":0.70000000000000001,"messages":[{"role":"user","content":' . $odd
    . '},{"role":"assistant","tool_calls":[{"id":"a:b","type":"function","function":{"name":"f","arguments":"{\"n\":12345678901234567890,\"e\":1e400,\"s\":\"\\\\u0000\"}"}}]},'
    . '{"role":"tool","tool_call_id":"a:b","content":"{\"n\":12345678901234567890}"}]}');
($q) = $up->received;
like($q->{body}, qr/"text":\Q$odd\E/, 'escapes, surrogates and NUL are copied');
like($q->{body}, qr/"temperature":0\.70000000000000001\b/, 'numbers are copied');
like($q->{body}, qr/"args":\{"n":12345678901234567890,"e":1e400,"s":"\\u0000"\}/, 'arguments become an object, digit by digit');
like($q->{body}, qr/"response":\{"n":12345678901234567890\}/, 'and so does a result');

# what it cannot be asked for: another target, or a 400
for ([ n => 9 ], [ modalities => [ 'text', 'audio' ] ]) {
    ($r) = ask({ model => 'm', @hi, @$_ });
    is($r->status, 400, "$_->[0]: refused");
    is($r->header('x-llm-error'), 'caller_unsupported', '... as unsupported');
    is(from_json($r->body)->{error}{param}, $_->[0], '... by name');
    is($up->count, 0, '... and not sent');
}
$up->reset;
$up->on('/o/*' => [ [ json => fixture_text('openai/chat.response.json') ] ]);
$r = $gw->post('/v1/chat/completions', to_json({ model => 'mixed', @hi, n => 9 }));
is($r->status, 200, 'n=9: the next target can');
is($r->header('x-llm-model'), 'other', '... and did');

# ---- answers --------------------------------------------------------------------

($r) = ask({ model => 'm', @hi });
my $a = from_json($r->body);
like($r->header('content-type'), qr{^application/json}, 'JSON');
is($a->{object}, 'chat.completion', 'a completion');
is($a->{id}, 'fxG1respId', 'the id of the provider');
is($a->{model}, 'gemini-3.5-flash-001', 'model');
is_deeply($a->{choices}, [ { index => 0, logprobs => undef, finish_reason => 'stop', message => { role => 'assistant', refusal => undef,
    content => 'Air scatters short blue wavelengths of sunlight more than long red ones.' } } ], 'choice');
is_deeply($a->{usage}, { prompt_tokens => 11, completion_tokens => 8, total_tokens => 19,
    prompt_tokens_details => { cached_tokens => 0 }, completion_tokens_details => { reasoning_tokens => 0 } }, 'usage');
my @f = logged($r);
is("$f[1]/$f[3]", '11/8', 'usage is counted');
is($f[6], '0.000153', 'and costs');

($r) = ask({ model => 'm', @hi }, json('generate.tools.response.json'));
$a = from_json($r->body)->{choices}[0];
is_deeply([ map { [ $_->{type}, $_->{function}{name}, from_json($_->{function}{arguments}) ] } @{ $a->{message}{tool_calls} } ],
    [ [ 'function', 'stock_level', { sku => 'A-9', depot => 'north' } ], [ 'function', 'stock_level', { sku => 'B-2' } ] ], 'calls');
my @made = map { $_->{id} } @{ $a->{message}{tool_calls} };
is(scalar(grep { /^[A-Za-z0-9_-]{8,}\z/ } @made), 2, '... have ids');
isnt($made[0], $made[1], '... of their own');
is($a->{finish_reason}, 'tool_calls', '... and their finish');
is($a->{message}{content}, undef, '... no content');

# how likely each token was
my @likely = ({ token => 'Hi', logProbability => -0.25, tokenId => 9 }, { token => 'Ho', logProbability => -1.5, tokenId => 8 });
my $said = sub { to_json({ candidates => [ { content => { parts => [ { text => $_[0] } ] }, @_[1 .. $#_],
    logprobsResult => { chosenCandidates => [ $likely[0] ], topCandidates => [ { candidates => [ @likely ] } ] } } ] }) };
my @given = map { { token => $_->{token}, logprob => $_->{logProbability}, bytes => undef } } @likely;
my $logprobs = { content => [ { %{ $given[0] }, top_logprobs => [ @given ] } ], refusal => undef };
($r, $q, $out) = ask({ model => 'm', @hi, logprobs => $true, top_logprobs => 2 }, [ [ json => $said->('Hi', finishReason => 'STOP') ] ]);
is_deeply($out->{generationConfig}, { responseLogprobs => $true, logprobs => 2 }, 'logprobs are asked for');
is_deeply(from_json($r->body)->{choices}[0]{logprobs}, $logprobs, '... and given');

# the second turn, as an SDK sends it
($r, $q, $out) = ask({ model => 'm', messages => [ { role => 'user', content => 'How many?' }, $a->{message},
    { role => 'tool', tool_call_id => $made[1], content => '2' }, { role => 'tool', tool_call_id => $made[0], content => '{"units":17}' } ] });
is_deeply($out->{contents}[1], file('gemini/generate.tools.response.json')->{candidates}[0]{content}, 'what it said, with its signature')
    or diag explain $out->{contents}[1];
is_deeply($out->{contents}[2]{parts}, [ { functionResponse => { name => 'stock_level', response => { output => '2' } } },
    { functionResponse => { name => 'stock_level', response => { units => 17 } } } ], '... and the results');

($r) = ask({ model => 'm', @hi }, json('generate.thinking.response.json'));
$a = from_json($r->body)->{choices}[0]{message};
is($a->{content}, '391', 'text');
is($a->{reasoning_content}, '17*20=340 and 17*3=51.', 'reasoning');
is_deeply($a->{extra_content}, { google => { thought_signature => 'Zng3c2ln' } }, 'what has to go back');
is(from_json($r->body)->{usage}{completion_tokens_details}{reasoning_tokens}, 52, 'thinking is counted');
($r, $q, $out) = ask({ model => 'm', messages => [ { role => 'user', content => '17*23?' }, $a, { role => 'user', content => 'Sure?' } ] });
is_deeply($out->{contents}[1]{parts}, [ { text => '391', thoughtSignature => 'Zng3c2ln' } ], 'goes back');

for ([ 'max-tokens-no-parts', 'length' ], [ 'content-no-parts', 'length' ], [ 'safety', 'content_filter' ], [ 'malformed-call', 'stop' ]) {
    ($r) = ask({ model => 'm', @hi }, json("generate.$_->[0].response.json"));
    is(from_json($r->body)->{choices}[0]{finish_reason}, $_->[1], "finish of $_->[0]");
    is(from_json($r->body)->{choices}[0]{message}{content}, undef, '... without content');
}
($r, $q, $out) = ask({ model => 'm', @hi, n => 2 }, json('generate.n2.response.json'));
is($out->{generationConfig}{candidateCount}, 2, 'two choices are asked for');
is_deeply([ map { "$_->{index} $_->{message}{content} $_->{finish_reason}" } @{ from_json($r->body)->{choices} } ], [ '0 Heads stop', '1 Tails stop' ], '... and given');
($r) = ask({ model => 'm', @hi }, json('generate.cached.response.json'));
is(from_json($r->body)->{usage}{prompt_tokens_details}{cached_tokens}, 1920, 'cached tokens');

($r) = ask({ model => 'm', @hi }, json('generate.prompt-blocked.response.json'));
is($r->status, 400, 'a blocked prompt');
is($r->header('x-llm-error'), 'caller_content_filter', '... is filtered');
like(from_json($r->body)->{error}{message}, qr/PROHIBITED_CONTENT/, '... and why');
$up->reset;
$up->on('/v1beta/*' => json('generate.prompt-blocked.response.json'));
$up->on('/o/*' => [ [ json => fixture_text('openai/chat.response.json') ] ]);
$r = $gw->post('/v1/chat/completions', to_json({ model => 'filtered', @hi }));
is($r->header('x-llm-model'), 'other', '... another target may be asked');

($r) = ask({ model => 'm', @hi }, [ [ json => '{"choices":[{"message":{"content":"x"}}]}' ] ]);
is($r->status, 502, 'an answer of OpenAI is a bad one here');
($r) = ask({ model => 'm', @hi }, [ [ 'http-file', fixture('hostile/not-json.http') ] ]);
is($r->status, 502, 'no JSON');

$up->reset;
$up->on('/*' => json('generate.json-schema.response.json'));
$r = $gw->post('/rate', '{"text":"The box was wet."}');
is_deeply(from_json($r->body), from_json(file('gemini/generate.json-schema.response.json')->{candidates}[0]{content}{parts}[0]{text}), 'an application route');
($q) = $up->received;
is(from_json($q->{body})->{generationConfig}{responseMimeType}, 'application/json', '... asks for JSON');

# ---- errors ---------------------------------------------------------------------

for ([ '400-invalid', 400, 'caller_invalid_request' ], [ '400-context', 400, 'caller_context_length' ], [ '400-api-key', 502, 'provider_auth' ],
     [ '402-prepay', 502, 'provider_auth' ], [ '429-minute', 429, 'provider_rate_limited' ], [ '429-day', 429, 'provider_quota' ],
     [ '500', 502, 'provider_error' ], [ '503', 503, 'provider_overloaded' ], [ '504', 502, 'provider_error' ])
{
    my ($name, $status, $code) = @$_;
    ($r) = ask({ model => 'm', @hi }, [ [ 'http-file', fixture("gemini/error.$name.http") ] ]);
    is($r->status, $status, "error.$name: status");
    is($r->header('x-llm-error'), $code, '... code');
    my $e = from_json($r->body);
    ok(ref $e->{error} && length $e->{error}{message} && !exists $e->{error}{status}, "... in the client's form");
}
($r) = ask({ model => 'm', @hi }, [ [ 'http-file', fixture('gemini/error.429-minute.http') ] ]);
is($r->header('retry-after'), 37, 'Retry-After');

$up->reset;
$up->on({ path => '/pool/*' } => [ [ 'http-file', fixture('gemini/error.429-day.http') ] ], json('generate.response.json'));
$r = $gw->post('/again/chat/completions', to_json({ model => 'pooled', @hi }));
is($r->status, 200, 'a key without quota: another one');
is(join(' ', map { $_->{h}{'x-goog-api-key'} } $up->received), 'AIzaSyAlpha0001 AIzaSyBeta00001', '... the other one');

# ---- streams --------------------------------------------------------------------

sub stream {
    my ($script, %o) = @_;
    $up->reset;
    $up->on('/*' => $script);
    return $gw->post('/v1/chat/completions', to_json({ model => 'm', @hi, stream => $true, %o }));
}

# what a client puts together
sub together {
    my ($r) = @_;
    my %got = (text => '', reasoning => '', finish => '', calls => [], seals => [], ids => {}, roles => 0);
    for my $e (grep { ref $_->{json} } Test::LLM::Sse::events($r)) {
        my $c = $e->{json};
        $got{error} = $c->{error} if $c->{error};
        $got{usage} = $c->{usage} if $c->{usage};
        $got{ids}{ $c->{id} // 'none' }++;
        for my $choice (@{ $c->{choices} // [] }) {
            my $d = $choice->{delta};
            $got{roles}++ if $d->{role};
            $got{text} .= $d->{content} // '';
            $got{reasoning} .= $d->{reasoning_content} // '';
            push @{ $got{seals} }, $d->{extra_content}{google}{thought_signature} if $d->{extra_content};
            for my $t (@{ $d->{tool_calls} // [] }) {
                my $call = $got{calls}[ $t->{index} ] //= { arguments => '' };
                $call->{id} = $t->{id} if $t->{id};
                $call->{name} = $t->{function}{name} if $t->{function}{name};
                $call->{seal} = $t->{extra_content}{google}{thought_signature} if $t->{extra_content};
                $call->{arguments} .= $t->{function}{arguments} // '';
            }
            $got{finish} .= $choice->{finish_reason} // '';
        }
    }
    $got{done} = Test::LLM::Sse::done(Test::LLM::Sse::events($r)) ? 1 : 0;
    $got{ids} = [ keys %{ $got{ids} } ];
    return \%got;
}

my $both = { include_usage => $true };
for my $slice ('1 0', '7 0', '200 1', '') {
    my $in = $slice ? " in pieces of $slice" : '';
    my $sse = sub { [ $slice ? [ slice => $slice ] : (), [ 'sse-file', fixture("gemini/stream$_[0].sse") ] ] };

    for my $ends ('', '.lf') {
        $r = stream($sse->($ends), stream_options => $both);
        is_deeply(together($r), { text => 'One, two, three.', reasoning => '', finish => 'stop', calls => [], seals => [], roles => 1, done => 1,
            ids => [ 'fxG1respId' ], usage => { prompt_tokens => 11, completion_tokens => 6, total_tokens => 17,
            prompt_tokens_details => { cached_tokens => 0 }, completion_tokens_details => { reasoning_tokens => 0 } } }, "text$ends$in");
    }
    ($q) = $up->received;
    is($q->{path}, '/v1beta/models/gemini-3.5-flash:streamGenerateContent?alt=sse', '... asked for');

    my $t = together(stream($sse->('.tools')));
    is($t->{text}, 'Let me look.', "text beside tools$in");
    is_deeply([ map { [ $_->{name}, from_json($_->{arguments}), $_->{seal} ] } @{ $t->{calls} } ],
        [ [ 'stock_level', { sku => 'A-9', depot => 'north' }, 'Zng3c2ln' ], [ 'stock_level', { sku => 'B-2' }, undef ] ], "tools$in");
    is("$t->{finish} $t->{done}", 'tool_calls 1', '... their end');
    ok(!$t->{usage}, '... usage only for who asks');

    $t = together(stream($sse->('.tools-split-finish')));
    is(scalar(@{ $t->{calls} }) . " $t->{finish}", '2 tool_calls', "calls, and STOP later$in");
    isnt($t->{calls}[0]{id}, $t->{calls}[1]{id}, '... ids of their own');

    $t = together(stream($sse->('.thinking')));
    is("$t->{reasoning}|$t->{text}|@{ $t->{seals} }", '17*20=340|391|Zng3c2ln', "reasoning$in");

    $t = together(stream($sse->('.finish-alone')));
    is("$t->{text} $t->{finish} $t->{done}", 'One stop 1', "a finish of its own$in");
    $t = together(stream($sse->('.safety')));
    is("$t->{text} $t->{finish}", 'Some content_filter', "filtered in the middle$in");

    $r = stream($sse->('.prompt-blocked'));
    is($r->status . ' ' . $r->header('x-llm-error'), '400 caller_content_filter', "a blocked prompt$in");
    for ('.cut', '.error-bare') {
        $t = together(stream([ @{ $sse->($_) }, 'fin' ]));
        like("$t->{text} $t->{done}", qr/^One(, two)? 0\z/, "$_$in");
        ok($t->{error}, '... is an error');
    }
}

$r = stream([ [ 'sse-file', fixture('gemini/stream.sse') ] ]);
@f = logged($r);
is("$f[1]/$f[3]", '11/6', 'usage of a stream');

my @midway = map { /^data: (.*)/m ? [ event => $1 ] : () } split /\r?\n\r?\n/, fixture_text('gemini/stream.error-midway.sse');
splice @midway, 1, 0, [ pause => 200 ];
my $t = together(stream([ @midway, 'fin' ]));
is("$t->{text} $t->{done}", 'One 0', 'an error in the middle');
is($t->{error}{code}, 'server_is_overloaded', '... by its class');

# without "data:", whatever came before
my $bare = '{"error":{"code":503,"status":"UNAVAILABLE","message":"Busy"}}';
my ($one_event) = fixture_text('gemini/stream.finish-alone.sse') =~ /^data: (.*)/m;
for ([ 'behind the end', [ event => $one_event ], [ event => '{"candidates":[{"finishReason":"STOP"}]}' ] ], [ 'in an array', [ event => $one_event ] ]) {
    my ($name, @before) = @$_;
    $r = stream([ @before, [ pause => 50 ], [ chunk => $name =~ /array/ ? "[$bare]\n" : $bare ], 'end' ]);
    $t = together($r);
    is("$t->{text} $t->{done}", 'One 0', "a bare error $name");
    is($t->{error}{code} . ' ' . $t->{error}{message}, 'server_is_overloaded Busy', '... is one for the client');
    is(scalar(grep { ref $_->{json} && $_->{json}{error} } Test::LLM::Sse::events($r)), 1, '... told once');
}

my @told = map { $_->{json}{choices}[0]{logprobs} } grep { ref $_->{json} } Test::LLM::Sse::events(
    stream([ [ event => $said->('Hi') ], [ event => $said->('', finishReason => 'STOP') ], 'end' ], logprobs => $true));
is_deeply([ grep { $_ } @told ], [ $logprobs, $logprobs ], 'logprobs of a stream');

# each event at once
my @slow = map { /^data: (.*)/m ? [ event => $1 ] : () } split /\r?\n\r?\n/, fixture_text('gemini/stream.sse');
splice @slow, 1, 0, [ pause => 300 ];
$r = stream(\@slow);
my %at = map { ($_->{json}{choices}[0]{delta}{content} // '') => $_->{at} } grep { ref $_->{json} } Test::LLM::Sse::events($r);
cmp_ok($at{', two'} - $at{One}, '>', 0.15, 'the first event did not wait for the second');

# a whole answer to a request for a stream
($r) = ask({ model => 'm', @hi, stream => $true });
is(from_json($r->body)->{object}, 'chat.completion', 'one answer where events were asked for');

# ---- embeddings -----------------------------------------------------------------

sub embed {
    my ($members, $fixture) = @_;
    $up->reset;
    $up->on('/*' => json($fixture // 'batch-embed.response.json'));
    my $r = $gw->post('/v1/embeddings', to_json({ model => 'm', %$members }));
    my ($q) = $up->received;
    return ($r, $q, $q && from_json($q->{body}));
}

($r, $q, $out) = embed({ input => [ 'red shoe', 'blue hat' ], dimensions => 3, encoding_format => 'float', user => 'u' });
is($r->status, 200, 'embeddings');
is($q->{path}, '/v1beta/models/gemini-3.5-flash:batchEmbedContents', '... path');
is_deeply($out, { requests => [ map { { model => 'models/gemini-3.5-flash', content => { parts => [ { text => $_ } ] }, outputDimensionality => 3 } }
    'red shoe', 'blue hat' ] }, '... a batch');
is($r->header('x-llm-dropped'), 'user', '... without a user');
is_deeply(from_json($r->body), { object => 'list', model => 'gemini-3.5-flash', usage => { prompt_tokens => 0, total_tokens => 0 },
    data => file('openai/embeddings.response.json')->{data} }, '... and a list');
like($r->body, qr/\[\s*0\.5,\s*-0\.25,\s*0\.125\s*\]/, '... digit by digit');
($r, $q, $out) = embed({ input => 'x', encoding_format => 'base64' });
is(scalar @{ $out->{requests} }, 1, 'one text');
is($r->header('x-llm-dropped'), 'encoding_format', '... as numbers');
($r) = embed({ input => [ 1, 2 ] });
is($r->status . ' ' . $r->header('x-llm-error'), '400 caller_unsupported', 'tokens');
($r) = embed({ input => [] });
is($r->status, 400, 'nothing');
($r) = embed({ input => 'x' }, 'generate.response.json');
is($r->status, 502, 'a chat is no vector');
$up->reset;
$up->on('/*' => [ [ 'sse-file', fixture('gemini/stream.sse') ] ]);
$r = $gw->post('/v1/embeddings', to_json({ model => 'm', input => 'x' }));
is($r->status, 502, 'nor is a stream of events');
$up->reset;
$up->on('/*' => [ [ 'http-file', fixture('gemini/error.429-minute.http') ] ]);
$r = $gw->post('/v1/embeddings', to_json({ model => 'm', input => 'x' }));
is($r->status, 429, 'a limit');
is(from_json($r->body)->{error}{type}, 'rate_limit_error', "... in the client's form");

# ---- Google's own form ----------------------------------------------------------

my $own = '{"contents":[{"parts":[{"text":"Hi"}]}],"unknown":1e400}';
my $pretty = fixture_text('gemini/generate.response.json');
$up->reset;
$up->on('/*' => [ [ json => $pretty ] ]);
$r = $gw->http(POST => '/v1beta/models/gemini-x:generateContent?key=of-the-client', { 'x-goog-api-key' => 'of-the-client' }, $own);
($q) = $up->received;
is($q->{path}, '/v1beta/models/gemini-x:generateContent', 'passed on by its path, without the key of the client');
is($q->{body}, $own, '... byte for byte');
is($q->{h}{'x-goog-api-key'}, 'AIzaSyAlpha0001', '... with a key of ours');
is($r->body, $pretty, '... and back');
$up->reset;
$up->on('/*' => [ [ 'sse-file', fixture('gemini/stream.sse') ] ]);
$r = $gw->post('/v1beta/models/gemini-x:streamGenerateContent?alt=sse', $own);
($q) = $up->received;
is($q->{path}, '/v1beta/models/gemini-x:streamGenerateContent?alt=sse', 'a stream');
is($r->body, fixture_text('gemini/stream.sse'), '... byte for byte');
for (qw(400-invalid 503)) {
    $up->reset;
    $up->on('/*' => [ [ 'http-file', fixture("gemini/error.$_.http") ] ]);
    $r = $gw->post('/v1beta/models/gemini-x:generateContent', $own);
    is(from_json($r->body)->{error}{status}, { '400-invalid' => 'INVALID_ARGUMENT', 503 => 'UNAVAILABLE' }->{$_}, "error.$_ passes as it is");
}

# ---- large ----------------------------------------------------------------------

my $long = join ' ', map { "word $_ \"quoted\"\n" } 1 .. 60_000;
($r, $q, $out) = ask({ model => 'm', messages => [ { role => 'user', content => $long } ] });
is($r->status, 200, 'a long request');
is(length $out->{contents}[0]{parts}[0]{text}, length $long, '... is sent whole');
my $text = to_json($long);
($r) = ask({ model => 'm', @hi }, [ [ json => '{"candidates":[{"content":{"parts":[{"text":' . $text . '},{"text":"!"}]},"finishReason":"STOP"}]}' ] ]);
is(from_json($r->body)->{choices}[0]{message}{content}, "$long!", 'a long answer');
my $one = substr to_json($long), 0, 200_000;
$one =~ s/\\?[^\\]*\z//;
$r = stream(event_script((map { '{"candidates":[{"content":{"parts":[{"text":' . "$one\"}]}}]}" } 1 .. 4), '{"candidates":[{"finishReason":"STOP"}]}'));
is(together($r)->{text}, from_json("$one\"") x 4, 'large events');

finish();
