# OpenAI's Responses in front of every provider: spliced where it has the
# endpoint, translated where it does not.

use lib 't/lib';
use Test::LLM;

my $up = Test::LLM::Upstream->new;
my $gw = Test::LLM::Gateway->new(vars => { UP => $up->port }, env => { KEY_A => 'sk-alpha-0001' },
    conf => <<'EOC')->start;
    llm_zone t:4m;
    llm_key_pool k { key env:KEY_A; cooldown off; }
    llm_provider openai { dialect openai; base_url http://127.0.0.1:%%UP%%/o/v1; keys k; breaker off; }
    llm_provider chat { dialect openai; base_url http://127.0.0.1:%%UP%%/v1; keys k; breaker off; native off; }
    llm_provider both { native messages responses; base_url http://127.0.0.1:%%UP%%/b/v1; keys k; breaker off; }
    llm_provider own { native messages; base_url http://127.0.0.1:%%UP%%/b/v1; key client; breaker off; }
    llm_provider anthropic { dialect anthropic; base_url http://127.0.0.1:%%UP%%/a; keys k; breaker off; }
    llm_provider gemini { dialect gemini; base_url http://127.0.0.1:%%UP%%/g; keys k; breaker off; }
    llm_provider mock { dialect mock; native off; }
    llm_model first { provider openai; id gpt-5; }
    llm_model gpt { provider chat; id gpt-5-mini; }
    llm_model local { provider chat; id llama-3.3-70b; can chat tools stream; }
    llm_model claude { provider anthropic; id claude-sonnet-5; }
    llm_model old-claude { provider anthropic; id claude-sonnet-4-5; }
    llm_model flash { provider gemini; id gemini-3-flash; }
    llm_model compatible { provider chat; id gemini-3-flash; }
    llm_model fake { provider mock; id mock; }
    llm_model vllm { provider both; id qwen; }
    llm_model mine { provider own; id qwen; }
    llm_route mixed { target gpt; target first; }
    client_max_body_size 8m;
    server {
        listen 127.0.0.1:%%PORT%%;
        llm_retry off;
        location /v1/ { llm_pass $llm_model; }
        location /small/ { llm_max_event_size 3k; llm_pass gpt; }
        location /limited/ { llm_limit per=$http_x_user 100t/m; llm_pass gpt; }
    }
EOC

my $true = JSON::PP::true();
my $false = JSON::PP::false();

sub file { from_json(fixture_text($_[0])) }
sub json { [ [ json => fixture_text($_[0]) ] ] }

# sends a request, answers with a script; (response, what went out, as JSON)
sub ask {
    my ($body, $script, $path, $method) = @_;
    $up->reset;
    $up->on('/*' => $script // json('openai/chat.response.json'));
    my $r = $gw->http($method // 'POST', $path // '/v1/responses', {}, ref $body ? to_json($body) : $body);
    my ($q) = $up->received;
    return ($r, $q, $q && from_json($q->{body}));
}

my @hi = (input => 'Hi');
my ($r, $q, $out);

# ---- spliced --------------------------------------------------------------------

my $odd = '{"model":"first","max_output_tokens":6.4e1,"x":[1.50,"\u0000\/"],"input":"Hi","tools":[{"type":"web_search"}],"previous_response_id":"resp_1"}';
($r, $q) = ask($odd, json('openai/responses.response.json'));
is($r->status, 200, 'OpenAI: served');
is($q->{path}, '/o/v1/responses', '... path');
is($q->{body}, $odd =~ s/"first"/"gpt-5"/r, '... nothing else is touched');
is($r->body, fixture_text('openai/responses.response.json'), '... nor the answer');
($r) = ask({ model => 'first', @hi, stream => $true }, [ [ 'sse-file', fixture('openai/responses.stream.tools.sse') ] ]);
is($r->body, fixture_text('openai/responses.stream.tools.sse'), '... nor a stream');

($r, $q) = ask({ model => 'vllm', max_tokens => 9, messages => [ { role => 'user', content => 'Hi' } ], stream => $true },
    [ [ 'sse-file', fixture('anthropic/messages.stream.sse') ] ], '/v1/messages');
is($q->{path}, '/b/v1/messages', 'native messages: path');
is($q->{h}{authorization}, 'Bearer sk-alpha-0001', '... key');
is($r->body, fixture_text('anthropic/messages.stream.sse'), '... its stream');
($r, $q) = ask({ model => 'vllm', max_tokens => 9, messages => [] }, json('anthropic/messages.response.json'), '/v1/messages');
is($r->body, fixture_text('anthropic/messages.response.json'), '... its answer');
($r) = ask({ model => 'vllm', max_tokens => 9, messages => [] }, [ [ 'http-file', fixture('anthropic/error.400.http') ] ], '/v1/messages');
is($r->status, 400, '... its errors');
is(from_json($r->body)->{error}{type}, 'invalid_request_error', '... as they are');
$up->reset;
$up->on('/*' => json('anthropic/messages.response.json'));
$gw->http(POST => '/v1/messages', { 'x-api-key' => 'sk-of-the-client', 'anthropic-version' => '2026-10-21' }, to_json({ model => 'mine', max_tokens => 9, messages => [] }));
($q) = $up->received;
is($q->{h}{authorization}, 'Bearer sk-of-the-client', '... the key of a client');
is($q->{h}{'anthropic-version'}, '2026-10-21', '... and the version it speaks');
($r, $q) = ask({ model => 'vllm', @hi }, json('openai/responses.response.json'));
is($q->{path}, '/b/v1/responses', 'native responses');

# ---- requests -------------------------------------------------------------------

($r, $q, $out) = ask({ model => 'gpt', @hi });
is($r->status, 200, 'chat: served');
is($q->{path}, '/v1/chat/completions', 'path');
is_deeply($out, { model => 'gpt-5-mini', messages => [ { role => 'user', content => 'Hi' } ] }, 'the smallest request');
is($r->header('x-llm-dropped'), undef, '... all of it');

($r, $q, $out) = ask({ model => 'gpt', instructions => "Be\nbrief.", max_output_tokens => 99, temperature => 0.5, top_p => 0.9, user => 'u-1', service_tier => 'flex',
    metadata => { a => 'b' }, store => $true, truncation => 'auto', include => [ 'reasoning.encrypted_content', 'message.output_text.logprobs' ], top_logprobs => 2,
    reasoning => { effort => 'low', summary => 'auto' }, text => { format => { type => 'json_schema', name => 'x', strict => $true, schema => { type => 'object' } }, verbosity => 'low' },
    parallel_tool_calls => $false, tool_choice => { type => 'function', name => 'f' }, stream_options => { include_obfuscation => $false },
    tools => [ { type => 'function', name => 'f', description => 'd', strict => $true, parameters => { type => 'object' } } ], input => [
    { role => 'developer', content => [ { type => 'input_text', text => 'One.' }, { type => 'input_text', text => 'Two.' } ] },
    { type => 'message', role => 'user', content => [ { type => 'input_text', text => 'See' }, { type => 'input_image', image_url => 'data:image/png;base64,aWc=', detail => 'low' },
      { type => 'input_file', filename => 'd.pdf', file_data => 'data:application/pdf;base64,JVBE' }, { type => 'input_audio', input_audio => { data => 'UklG', format => 'wav' } } ] } ] });
is_deeply($out, { model => 'gpt-5-mini', max_completion_tokens => 99, reasoning_effort => 'low', user => 'u-1', service_tier => 'flex', parallel_tool_calls => $false,
    response_format => { type => 'json_schema', json_schema => { name => 'x', strict => $true, schema => { type => 'object' } } },
    tool_choice => { type => 'function', function => { name => 'f' } },
    tools => [ { type => 'function', function => { name => 'f', description => 'd', strict => $true, parameters => { type => 'object' } } } ], messages => [
    { role => 'system', content => "Be\nbrief." }, { role => 'system', content => "One.\nTwo." },
    { role => 'user', content => [ { type => 'text', text => 'See' }, { type => 'image_url', image_url => { url => 'data:image/png;base64,aWc=', detail => 'low' } },
      { type => 'file', file => { filename => 'd.pdf', file_data => 'data:application/pdf;base64,JVBE' } },
      { type => 'input_audio', input_audio => { data => 'UklG', format => 'wav' } } ] } ] }, 'every member') or diag explain $out;
is(join(' ', sort split /, /, $r->header('x-llm-dropped')), 'include store temperature top_logprobs top_p truncation verbosity', 'what was left out');
my $a = from_json($r->body);
is_deeply([ @$a{qw(instructions max_output_tokens temperature metadata store parallel_tool_calls)} ], [ "Be\nbrief.", 99, 0.5, { a => 'b' }, $false, $false ], 'what the answer repeats');
is_deeply($a->{tools}[0]{name}, 'f', '... tools');
is_deeply($a->{text}{format}{name}, 'x', '... the format');

for ([ 'auto', 'auto' ], [ 'required', 'required' ], [ { type => 'allowed_tools', mode => 'auto', tools => [ { type => 'function', name => 'f' } ] },
     { type => 'allowed_tools', allowed_tools => { mode => 'auto', tools => [ { type => 'function', function => { name => 'f' } } ] } } ])
{
    ($r, $q, $out) = ask({ model => 'gpt', @hi, tools => [ { type => 'function', name => 'f' } ], tool_choice => $_->[0] });
    is_deeply($out->{tool_choice}, $_->[1], 'tool_choice');
}
($r, $q, $out) = ask({ model => 'gpt', @hi, text => { format => { type => 'json_object' } } });
is_deeply($out->{response_format}, { type => 'json_object' }, 'JSON');

# a round of tools, with everything in it
my @round = ({ role => 'user', content => 'Stock?' }, { type => 'reasoning', id => 'rs_1', summary => [], encrypted_content => 'gAAA' },
    { type => 'message', id => 'msg_1', role => 'assistant', status => 'completed', content => [ { type => 'output_text', text => 'Let ', annotations => [] }, { type => 'output_text', text => 'me.', annotations => [] } ] },
    { type => 'function_call', id => 'fc_1', call_id => 'c1', name => 'f', arguments => '{"a":1}' }, { type => 'function_call', call_id => 'c2', name => 'g', arguments => '{}' },
    { type => 'function_call_output', call_id => 'c1', output => '17' },
    { type => 'function_call_output', call_id => 'c2', output => [ { type => 'input_text', text => 'here' }, { type => 'input_image', image_url => 'data:image/png;base64,aWc=', detail => 'auto' } ] },
    { role => 'user', content => 'So?' });
($r, $q, $out) = ask({ model => 'gpt', input => \@round });
my $call = sub { { id => $_[0], type => 'function', function => { name => $_[1], arguments => $_[2] } } };
is_deeply($out->{messages}, [ { role => 'user', content => 'Stock?' }, { role => 'assistant', content => 'Let me.', tool_calls => [ $call->('c1', 'f', '{"a":1}'), $call->('c2', 'g', '{}') ] },
    { role => 'tool', tool_call_id => 'c1', content => '17' }, { role => 'tool', tool_call_id => 'c2', content => 'here' },
    { role => 'user', content => [ { type => 'image_url', image_url => { url => 'data:image/png;base64,aWc=', detail => 'auto' } } ] }, { role => 'user', content => 'So?' } ], 'a round of tools')
    or diag explain $out->{messages};
($r, $q, $out) = ask({ model => 'claude', input => \@round, max_output_tokens => 50 }, json('anthropic/messages.response.json'));
is(join(' ', map { my $m = $_; map { ref $_ ? $_->{type} : 'text' } ref $m->{content} ? @{ $m->{content} } : $m->{content} } @{ $out->{messages} }), 'text text tool_use tool_use tool_result tool_result image text', '... at Anthropic') or diag explain $out->{messages};
is($out->{max_tokens}, 50, '... and its limit');
($r, $q, $out) = ask({ model => 'flash', input => \@round }, json('gemini/generate.response.json'));
is(join(' ', map { map { $_->{functionCall} ? 'call' : $_->{functionResponse} ? 'result' : $_->{inlineData} ? 'picture' : 'text' } @{ $_->{parts} } } @{ $out->{contents} }), 'text text call call result result picture text', '... at Gemini')
    or diag explain $out->{contents};

my $raw = '"\u0000\ud83d\ude00\ud800 \"\\\\ \/ \u00e9 ü"';
($r, $q) = ask('{"model":"local","temperature":0.70000000000000001,"input":[{"role":"user","content":' . $raw . '}]}');
like($q->{body}, qr/"content":\Q$raw\E/, 'strings are copied');
like($q->{body}, qr/"temperature":0\.70000000000000001\b/, 'numbers too');

# ---- what only OpenAI can do ----------------------------------------------------

for ([ previous_response_id => 'resp_1' ], [ background => $true ], [ conversation => 'conv_1' ], [ prompt => { id => 'pmpt_1' } ], [ tools => [ { type => 'web_search' } ] ],
     [ tools => [ { type => 'mcp', server_label => 'x' } ] ], [ tools => [ { type => 'custom', name => 'x' } ] ], [ input => [ { type => 'item_reference', id => 'msg_1' } ] ],
     [ input => [ { type => 'computer_call', id => 'c' } ] ], [ input => [ { role => 'user', content => [ { type => 'input_image', file_id => 'file_1' } ] } ] ],
     [ input => [ { role => 'user', content => [ { type => 'input_file', file_url => 'https://example.com/' } ] } ] ])
{
    my ($name, $value) = @$_;
    my %more = ($name => $value);
    $more{tool_choice} = 'auto' if $name eq 'tools';
    ($r, $q) = ask({ model => 'gpt', @hi, %more });
    is($r->status . ' ' . $r->header('x-llm-error'), '400 caller_unsupported', "$name: nobody can");
    is(from_json($r->body)->{error}{param}, $name, '... which');
    ok(!$q, '... nobody was asked');
    ($r, $q) = ask({ model => 'mixed', @hi, %more }, json('openai/responses.response.json'));
    is($r->status . $q->{path}, '200/o/v1/responses', '... but the next target');
}
($r, $q) = ask({ model => 'mixed', @hi, background => $false, previous_response_id => undef, conversation => undef });
is($q->{path}, '/v1/chat/completions', 'what says nothing needs nobody');
for ([ { model => 'gpt' }, 'input' ], [ { model => 'gpt', input => 5 }, 'input' ], [ { model => 'gpt', input => [ 5 ] }, 'input' ],
     [ { model => 'gpt', input => [ { type => 'function_call', name => 'f' } ] }, 'input' ], [ { model => 'gpt', @hi, tools => [ {} ] }, 'tools' ],
     [ { model => 'gpt', input => [ { role => 'user', content => [ {} ] } ] }, 'input' ], [ { model => 'gpt', input => [ { role => 'tool', content => 'x' } ] }, 'input' ])
{
    ($r, $q) = ask($_->[0]);
    is($r->status . ' ' . from_json($r->body)->{error}{param} . ($q ? ' asked' : ''), "400 $_->[1]", to_json($_->[0]));
}
for ([ GET => '/resp_1' ], [ POST => '/resp_1/cancel' ], [ DELETE => '/resp_1' ], [ GET => '/resp_1/input_items' ]) {
    ($r, $q) = ask('', undef, "/small/v1/responses$_->[1]", $_->[0]);
    is($r->status . ' ' . $r->header('x-llm-error'), '400 caller_unsupported', "$_->[0] of what is not stored");
}
($r, $q) = ask({ model => 'gpt', input => 'x' x 300 }, undef, '/v1/responses/input_tokens');
$a = from_json($r->body);
is($a->{object}, 'response.input_tokens', 'a count where nobody counts');
cmp_ok($a->{input_tokens}, '>', 90, '... is a guess');
ok(!$q, '... of our own');

# ---- what models can, and limits ------------------------------------------------

($r) = ask({ model => 'local', @hi, text => { format => { type => 'json_schema', name => 'x', schema => {} } } });
like(from_json($r->body)->{error}{message}, qr/json_schema/, 'can json_schema');
($r) = ask({ model => 'local', input => [ { role => 'user', content => [ { type => 'input_image', image_url => 'data:image/png;base64,aWc=' } ] } ] });
like(from_json($r->body)->{error}{message}, qr/vision/, 'can vision');
sub limited { my ($user, $more) = @_; $up->reset; $up->on('/*' => json('openai/chat.response.json')); $gw->http(POST => '/limited/responses', { 'x-user' => $user }, to_json({ @hi, %$more })) }
is(limited('a', { max_output_tokens => 200 })->header('x-llm-error'), 'policy_request_too_large', 'a limit sees max_output_tokens');
is(limited('b', { max_output_tokens => 60 })->status, 200, '... that fit');
is(limited('c', { instructions => 'x' x 900, max_output_tokens => 1 })->header('x-llm-error'), 'policy_request_too_large', '... and the instructions');

# ---- whole answers --------------------------------------------------------------

($r) = ask({ model => 'gpt', @hi });
$a = from_json($r->body);
my $chat = file('openai/chat.response.json');
my $text = $chat->{choices}[0]{message}{content};
like($a->{id}, qr/^resp_[0-9a-f]{32}$/, 'an id');
is_deeply([ @$a{qw(object model status error incomplete_details previous_response_id tool_choice)} ], [ 'response', $chat->{model}, 'completed', undef, undef, undef, 'auto' ], 'a response');
my $item = $a->{output}[0];
like($item->{id}, qr/^msg_[0-9a-f]{32}_0$/, 'an item');
is_deeply({ %$item, id => 0 }, { id => 0, type => 'message', role => 'assistant', status => 'completed', content => [ { type => 'output_text', text => $text, annotations => [], logprobs => [] } ] }, 'its text');
($r) = ask({ model => 'gpt', @hi }, json('openai/chat.cached.response.json'));
my $u = file('openai/chat.cached.response.json')->{usage};
is_deeply(from_json($r->body)->{usage}, { input_tokens => $u->{prompt_tokens}, input_tokens_details => { cached_tokens => $u->{prompt_tokens_details}{cached_tokens} },
    output_tokens => $u->{completion_tokens}, output_tokens_details => { reasoning_tokens => $u->{completion_tokens_details}{reasoning_tokens} }, total_tokens => $u->{total_tokens} }, 'usage');
($r) = ask({ model => 'gpt', @hi }, json('openai/chat.tools.response.json'));
my @calls = @{ file('openai/chat.tools.response.json')->{choices}[0]{message}{tool_calls} };
is_deeply([ map { [ @$_{qw(type call_id name arguments status)} ] } grep { $_->{type} eq 'function_call' } @{ from_json($r->body)->{output} } ],
    [ map { [ 'function_call', $_->{id}, $_->{function}{name}, $_->{function}{arguments}, 'completed' ] } @calls ], 'calls');
for ([ 'length', 'max_output_tokens' ], [ 'content-filter', 'content_filter' ]) {
    ($r) = ask({ model => 'gpt', @hi }, json("openai/chat.$_->[0].response.json"));
    $a = from_json($r->body);
    is_deeply([ @$a{qw(status incomplete_details)} ], [ 'incomplete', { reason => $_->[1] } ], "a $_->[0]");
    is($a->{output}[-1]{status}, 'incomplete', '... its item') if @{ $a->{output} };
}
($r) = ask({ model => 'gpt', @hi }, json('openai/chat.refusal.response.json'));
is_deeply([ map { $_->{type} } @{ from_json($r->body)->{output}[0]{content} } ], [ 'refusal' ], 'a refusal');
($r) = ask({ model => 'fake', @hi });
is(from_json($r->body)->{object}, 'response', 'the built-in mock');

# what its maker has to see again
($r) = ask({ model => 'claude', @hi }, json('anthropic/messages.thinking.response.json'));
my @items = @{ from_json($r->body)->{output} };
my @blocks = grep { $_->{type} =~ /thinking/ } @{ file('anthropic/messages.thinking.response.json')->{content} };
is(scalar(grep { $_->{type} eq 'reasoning' } @items), scalar @blocks, 'reasoning');
is($items[0]{summary}[0]{text}, $blocks[0]{thinking}, '... that can be read');
($r, $q, $out) = ask({ model => 'claude', input => [ { role => 'user', content => 'Hi' }, @items, { role => 'user', content => 'And?' } ] }, json('anthropic/messages.response.json'));
is_deeply([ grep { $_->{type} =~ /thinking/ } @{ $out->{messages}[1]{content} } ], \@blocks, '... comes back to Anthropic') or diag explain $out;
($r, $q, $out) = ask({ model => 'gpt', input => [ { role => 'user', content => 'Hi' }, @items, { role => 'user', content => 'And?' } ] });
ok(!grep({ $_->{thinking_blocks} } @{ $out->{messages} }), '... and to nobody else');

my $sealed = '{"candidates":[{"content":{"role":"model","parts":[{"functionCall":{"name":"f","args":{"a":1}},"thoughtSignature":"c2lnMQ=="}]},"finishReason":"STOP"}],"modelVersion":"g"}';
($r) = ask({ model => 'flash', @hi }, [ [ json => $sealed ] ]);
@items = @{ from_json($r->body)->{output} };
is($items[0]{name}, 'f', 'a call of Gemini');
($r, $q, $out) = ask({ model => 'flash', input => [ { role => 'user', content => 'Hi' }, @items, { type => 'function_call_output', call_id => $items[0]{call_id}, output => 'x' } ] }, json('gemini/generate.response.json'));
is($out->{contents}[1]{parts}[0]{thoughtSignature}, 'c2lnMQ==', '... and its seal') or diag explain $out->{contents};

($r, $q) = ask({ model => 'gpt', input => [ @items, { type => 'function_call_output', call_id => $items[0]{call_id}, output => 'x' } ] });
unlike($q->{body}, qr/c2lnMQ|extra_content/, '... which is nobody else\'s affair');
($r, $q, $out) = ask({ model => 'compatible', input => [ @items, { type => 'function_call_output', call_id => $items[0]{call_id}, output => 'x' } ] });
is($out->{messages}[0]{tool_calls}[0]{extra_content}{google}{thought_signature}, 'c2lnMQ==', '... but that of its endpoint for chats');

# ---- errors ---------------------------------------------------------------------

for ([ '400-context-length', 400 ], [ '429-rate-limit-requests', 429 ], [ '500', 502 ], [ '503-overloaded', 503 ]) {
    ($r) = ask({ model => 'gpt', @hi }, [ [ 'http-file', fixture("openai/error.$_->[0].http") ] ]);
    is($r->status, $_->[1], "error.$_->[0]");
    my $e = from_json($r->body)->{error};
    ok(length $e->{message} && $e->{type} && $e->{code}, "... in OpenAI's form");
}

# ---- streams --------------------------------------------------------------------

# what a client puts together, as the SDK does it, and the last response
sub together {
    my ($r) = @_;
    my %got = (order => '', bad => []);
    my ($n, $last, @out) = (0);
    for my $e (Test::LLM::Sse::events($r)) {
        my $d = $e->{json};
        ref $d or do { push @{ $got{bad} }, $e->{data}; next };
        my $t = $d->{type};
        push @{ $got{bad} }, "event $e->{event}" if $e->{event} ne $t;
        push @{ $got{bad} }, "number $d->{sequence_number}" if $d->{sequence_number} != $n++;
        (my $short = $t) =~ s/^response\.//;
        $got{order} .= "$short " unless $short eq ($last // '') && $short =~ /delta$/;
        $last = $short;
        my $item = defined $d->{output_index} ? $out[ $d->{output_index} ] : undef;
        push @{ $got{bad} }, "item of $t" if $d->{item_id} && $d->{item_id} ne ($item->{id} // '');
        if ($short eq 'output_item.added') { $out[ $d->{output_index} ] = $d->{item} }
        elsif ($short eq 'content_part.added') { push @{ $item->{content} }, $d->{part} }
        elsif ($short eq 'reasoning_summary_part.added') { push @{ $item->{summary} }, $d->{part} }
        elsif ($short =~ /^(output_text|refusal|reasoning_summary_text|function_call_arguments)\.(delta|done)$/) {
            my ($at, $k) = $1 eq 'function_call_arguments' ? ($item, 'arguments') : ($item->{content} ? $item->{content}[-1] : $item->{summary}[-1], $1 eq 'refusal' ? 'refusal' : 'text');
            if ($2 eq 'delta') { $at->{$k} .= $d->{delta} }
            else { push @{ $got{bad} }, "$t: $d->{$k}" if $d->{$k} ne $at->{$k} && !($k eq 'arguments' && $at->{$k} eq '') }
        }
        elsif ($short =~ /part\.done$/) {
            push @{ $got{bad} }, $t if to_json($d->{part}) ne to_json($item->{content} ? $item->{content}[-1] : $item->{summary}[-1]);
        }
        elsif ($short eq 'output_item.done') { $out[ $d->{output_index} ] = $d->{item} }
        $got{response} = $d->{response} if $d->{response};
        $got{error} = $d if $t eq 'error';
    }
    if ($got{order} =~ /(completed|incomplete) $/) {
        push @{ $got{bad} }, 'output' if to_json($got{response}{output}) ne to_json(\@out);
    }
    $got{text} = join '', map { map { $_->{text} // $_->{refusal} } @{ $_->{content} || [] } } @out;
    $got{calls} = [ map { [ $_->{name}, $_->{arguments} ] } grep { $_->{type} eq 'function_call' } @out ];
    $got{out} = \@out;
    return \%got;
}

sub stream {
    my ($script, $model, $path, %more) = @_;
    $up->reset;
    $up->on('/*' => $script);
    return $gw->post($path // '/v1/responses', to_json({ model => $model // 'gpt', @hi, stream => $true, %more }));
}

my $t;
my $begin = 'created in_progress ';
my $message = 'output_item.added content_part.added output_text.delta output_text.done content_part.done output_item.done ';
my $function = 'output_item.added function_call_arguments.delta function_call_arguments.done output_item.done ';

my $sse = sub { [ [ 'sse-file', fixture($_[0]) ] ] };

for my $slice ('1 0', '') {
    my $in = $slice ? ' byte by byte' : '';
    my $sse = sub { [ $slice ? [ slice => $slice ] : (), [ 'sse-file', fixture($_[0]) ] ] };
    my $said = join '', map { $_->{json}{choices}[0]{delta}{content} // '' } grep { ref $_->{json} && @{ $_->{json}{choices} } } Test::LLM::Sse::events(fixture_text('openai/chat.stream.sse'));

    $r = stream($sse->('openai/chat.stream.sse'));
    $t = together($r);
    like($r->header('content-type'), qr{^text/event-stream}, 'a stream');
    is($t->{order}, "$begin${message}completed ", "order$in");
    is_deeply($t->{bad}, [], '... and every event');
    is($t->{text}, $said, '... the text');
    cmp_ok($t->{response}{usage}{output_tokens}, '>', 0, '... usage');
    ($q) = $up->received;
    is_deeply(from_json($q->{body})->{stream_options}, { include_usage => $true }, '... was asked for');
    unlike($r->body, qr/\[DONE\]/, '... no terminator of chats');

    $t = together(stream($sse->('openai/chat.stream.tools.sse')));
    like($t->{order}, qr/^$begin($message)?$function${function}completed $/, "calls$in");
    is_deeply($t->{bad}, [], '... and every event');
    is_deeply([ map { $_->[0] } @{ $t->{calls} } ], [ 'stock_level', 'stock_level' ], '... their names');
    ok(!grep({ !ref from_json($_->[1]) } @{ $t->{calls} }), '... and arguments');
}

for ('openai/chat.stream.no-done', 'openai/chat.stream.cr', 'openai/chat.stream.crlf', 'openai/chat.stream.nospace', 'openai/chat.stream.utf8', 'openai/chat.stream.utf8-escaped',
    'openai/chat.stream.usage-null', 'openai/chat.stream.no-usage', 'openai/chat.stream.empty-frames', 'openai/chat.stream.tools-whole')
{
    $t = together(stream($sse->("$_.sse")));
    is_deeply([ $t->{bad}, $t->{order} =~ /completed $/ ? 1 : 0 ], [ [], 1 ], "$_") or diag $t->{order};
}
$t = together(stream($sse->('openai/chat.stream.length.sse')));
is_deeply($t->{response}{incomplete_details}, { reason => 'max_output_tokens' }, "a limit");
is($t->{out}[-1]{status}, 'incomplete', '... its item');
like($t->{order}, qr/incomplete $/, '... its last event');

$t = together(stream($sse->('anthropic/messages.stream.thinking.sse'), 'claude'));
is_deeply($t->{bad}, [], "reasoning of Anthropic");
like($t->{order}, qr/^${begin}output_item.added reasoning_summary_part.added reasoning_summary_text.delta reasoning_summary_text.done reasoning_summary_part.done output_item.done /, '... order');
like($t->{out}[0]{encrypted_content}, qr/^thinking:./, '... signed');
$t = together(stream($sse->('gemini/stream.tools.sse'), 'flash'));
is_deeply($t->{bad}, [], "calls of Gemini");
cmp_ok(scalar @{ $t->{calls} }, '>', 0, '... all');

# a body with lines in it, which no event may have
$up->reset;
$up->on('/*' => [ [ 'sse-file', fixture('openai/chat.stream.sse') ] ]);
$r = $gw->post('/v1/responses', qq({"model":"gpt","input":"Hi","stream":true,\n"metadata":{\r\n"a":"b\\n"},"tools":[\n]}));
$t = together($r);
is_deeply([ $t->{bad}, $t->{response}{metadata} ], [ [], { a => "b\n" } ], 'settings with line ends between them');

my $chunk = sub { [ chunk => 'data: ' . to_json({ id => 'c', model => 'm', choices => [ { index => 0, delta => $_[0], finish_reason => $_[1] } ] }) . "\n\n" ] };
my $piece = sub { { tool_calls => [ { index => $_[0], $_[1] ? (id => $_[1]) : (), function => { $_[1] ? (name => 'f') : (), arguments => $_[2] } } ] } };
my @done = ([ chunk => "data: [DONE]\n\n" ], [ 'end', '' ]);
$t = together(stream([ [ 'begin', '' ], $chunk->({ reasoning => 'Hm.' }), $chunk->({ content => 'Yes.' }), $chunk->({ refusal => 'No.' }), $chunk->($piece->(0, 'c1', '')), $chunk->({}, 'tool_calls'), @done ]));
is_deeply($t->{bad}, [], 'all kinds of items');
is(join(' ', map { $_->{type} } @{ $t->{out} }), 'reasoning message message function_call', '... in their order');
is_deeply($t->{calls}, [ [ 'f', '{}' ] ], '... a call without arguments');
$t = together(stream([ [ 'begin', '' ], $chunk->({ content => 'Hi' }), [ pause => 100 ], map({ $chunk->($_) } $piece->(0, 'c1', '{'), $piece->(1, 'c2', '{}'), $piece->(0, '', '}')), $chunk->({}, 'tool_calls'), @done ]));
like($t->{order}, qr/ error $/, 'more of a call that is done: an error') or diag $t->{order};
is_deeply($t->{bad}, [], '... in its place');

# the whole answer is repeated at the end: that has to fit
my @long = map { $chunk->({ content => 'x' x 400 }) } 1 .. 8;
$t = together(stream([ [ 'begin', '' ], $chunk->({ content => 'x' }), [ pause => 100 ], @long, $chunk->({}, 'stop'), @done ], undef, '/small/responses'));
like($t->{order}, qr/output_text\.delta error $/, 'longer than llm_max_event_size: an error');
is($t->{error}{code}, 'provider_cut', '... which');
$t = together(stream([ [ 'begin', '' ], map({ $chunk->({ content => 'x' x 4000 }) } 1 .. 20), $chunk->({}, 'stop'), @done ]));
is(length $t->{text}, 80_000, 'a long answer');
is_deeply($t->{bad}, [], '... and every event');

# what fails after the first byte
for ([ 'an error', [ chunk => qq(data: {"error":{"message":"No.","type":"server_error"}}\n\n) ], [ 'end', '' ] ], [ 'a cut', [ 'fin', '' ] ]) {
    my ($what, @end) = @$_;
    $t = together(stream([ [ 'begin', '' ], $chunk->({ content => 'Yes' }), [ pause => 100 ], @end ]));
    is($t->{order}, "${begin}output_item.added content_part.added output_text.delta error ", "$what in the middle");
    is_deeply($t->{bad}, [], '... in its place');
    ok($t->{error}{message} && $t->{error}{code} && $t->{error}{error}{message}, '... says what');
    is($t->{text}, 'Yes', '... behind what there was');
}
$r = stream([ [ 'begin', '' ], [ chunk => qq(event: response.created\ndata: {"type":"response.created","sequence_number":0,"response":{"id":"resp_1"}}\n\n)
    . qq(event: response.output_text.delta\ndata: {"type":"response.output_text.delta","sequence_number":1,"delta":"Hi"}\n\n) ], [ pause => 100 ], [ fin => '' ] ], 'first');
$t = together($r);
is($t->{error}{sequence_number}, 2, 'a spliced stream is cut in the same form');

finish();
