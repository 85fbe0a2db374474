# Anthropic's Messages in front of every provider: spliced where it speaks them,
# translated where it speaks OpenAI's chat.

use lib 't/lib';
use Test::LLM;

my $up = Test::LLM::Upstream->new;
my $gw = Test::LLM::Gateway->new(vars => { UP => $up->port }, env => { KEY_A => 'sk-alpha-0001' },
    conf => <<'EOC')->start;
    llm_zone t:4m;
    log_format llm '$request_id|$llm_input_tokens|$llm_cached_tokens|$llm_output_tokens|$llm_error|$llm_status_class';
    access_log %%DIR%%/llm.log llm;
    llm_key_pool k { key env:KEY_A; cooldown off; }
    llm_provider a { dialect anthropic; base_url http://127.0.0.1:%%UP%%/a; keys k; breaker off; }
    llm_provider o { dialect openai; base_url http://127.0.0.1:%%UP%%/v1; keys k; breaker off; }
    llm_provider own { dialect openai; base_url http://127.0.0.1:%%UP%%/v1; key client; breaker off; }
    llm_provider mock { dialect mock; }
    llm_model claude { provider a; id claude-sonnet-5; }
    llm_model gpt { provider o; id gpt-5-mini; }
    llm_model local { provider o; id llama-3.3-70b; }
    llm_model mine { provider own; id gpt-5-mini; }
    llm_model fake { provider mock; id mock; }
    llm_route mixed { target claude; target gpt; }
    client_max_body_size 8m;
    server {
        listen 127.0.0.1:%%PORT%%;
        add_header X-Id $request_id always;
        location /v1/ { llm_retry off; llm_pass $llm_model; }
        location /closed/ { deny all; llm_pass gpt; }
    }
EOC

my $true = JSON::PP::true();
my $false = JSON::PP::false();

sub file { from_json(fixture_text($_[0])) }
sub json { [ [ json => fixture_text("openai/$_[0]") ] ] }

# sends a Messages request, answers with a script; (response, what went out)
sub ask {
    my ($body, $script, $path) = @_;
    $up->reset;
    $up->on('/*' => $script // json('chat.response.json'));
    my $r = $gw->post($path // '/v1/messages', ref $body ? to_json($body) : $body);
    my ($q) = $up->received;
    return ($r, $q, $q && from_json($q->{body}));
}

my @hi = (max_tokens => 64, messages => [ { role => 'user', content => 'Hi' } ]);

# ---- spliced --------------------------------------------------------------------

my $odd = '{"model":"claude","max_tokens":6.4e1,"x":[1.50,"\u0000\/"],"messages":[{"role":"user","content":"Hi"}]}';
my ($r, $q) = ask($odd, [ [ json => fixture_text('anthropic/messages.response.json') ] ]);
is($r->status, 200, 'Anthropic: served');
is($q->{path}, '/a/v1/messages', '... path');
is($q->{h}{'x-api-key'}, 'sk-alpha-0001', '... key');
is($q->{body}, $odd =~ s/"claude"/"claude-sonnet-5"/r, '... nothing else is touched');
is($r->body, fixture_text('anthropic/messages.response.json'), '... nor the answer');

($r) = ask({ model => 'claude', @hi, stream => $true }, [ [ 'sse-file', fixture('anthropic/messages.stream.thinking.sse') ] ]);
is($r->body, fixture_text('anthropic/messages.stream.thinking.sse'), '... nor a stream');

($r, $q) = ask({ model => 'claude', @hi }, [ [ json => '{"input_tokens":11}' ] ], '/v1/messages/count_tokens');
is($r->body, '{"input_tokens":11}', 'count_tokens');
is($q->{path}, '/a/v1/messages/count_tokens', '... path');
($r) = ask({ model => 'gpt', messages => [ { role => 'user', content => 'x' x 300 } ] }, undef, '/v1/messages/count_tokens');
is($r->status, 200, 'count_tokens where nobody counts');
cmp_ok(from_json($r->body)->{input_tokens}, '>', 90, '... is a guess');
is($up->count, 0, '... of our own');

# ---- requests -------------------------------------------------------------------

my $out;
($r, $q, $out) = ask({ model => 'gpt', @hi });
is($r->status, 200, 'OpenAI: served');
is($q->{path}, '/v1/chat/completions', 'path');
is($q->{h}{authorization}, 'Bearer sk-alpha-0001', 'key');
is($q->{h}{'x-api-key'}, undef, '... once');
is_deeply($out, { model => 'gpt-5-mini', max_completion_tokens => 64, messages => [ { role => 'user', content => 'Hi' } ] }, 'the smallest request');

$up->reset;
$up->on('/*' => json('chat.response.json'));
$gw->http(POST => '/v1/messages', { 'x-api-key' => 'sk-of-the-client', 'anthropic-version' => '2026-10-21' }, to_json({ model => 'mine', @hi }));
($q) = $up->received;
is($q->{h}{authorization}, 'Bearer sk-of-the-client', 'key client: where the provider looks for it');
is(join('', grep { /^anthropic-|^x-api-key/ } keys %{ $q->{h} }), '', "... and nothing of Anthropic's");

($r, $q, $out) = ask({ model => 'local', max_tokens => 64, temperature => 0.5, top_p => 0.9, top_k => 5, stop_sequences => [ 'END' ],
    metadata => { user_id => 'u-1' }, service_tier => 'auto', system => [ { type => 'text', text => 'One.', cache_control => { type => 'ephemeral' } },
    { type => 'text', text => 'Two.' } ], thinking => { type => 'enabled', budget_tokens => 2048 }, container => 'c-1',
    messages => [ { role => 'user', content => [ { type => 'text', text => 'Hi', cache_control => { type => 'ephemeral' } } ] } ] });
is_deeply($out, { model => 'llama-3.3-70b', max_tokens => 64, temperature => 0.5, top_p => 0.9, stop => [ 'END' ], user => 'u-1', messages => [
    { role => 'system', content => "One.\nTwo." }, { role => 'user', content => [ { type => 'text', text => 'Hi' } ] } ] }, 'system, sampling, stops')
    or diag explain $out;
is(join(' ', sort split /, /, $r->header('x-llm-dropped')), 'container thinking top_k', 'what was left out');
($r, $q, $out) = ask({ model => 'gpt', @hi, temperature => 1, thinking => { type => 'enabled', budget_tokens => 1024 } });
is($out->{reasoning_effort}, 'low', 'thinking as an effort');
is($r->header('x-llm-dropped'), 'temperature', 'a model that takes no temperature');
($r, $q, $out) = ask({ model => 'gpt', @hi, thinking => { type => 'adaptive' }, output_config => { effort => 'high', format => { type => 'json_schema',
    schema => { type => 'object', properties => {} } } } });
is($out->{reasoning_effort}, 'high', 'effort');
is_deeply($out->{response_format}, { type => 'json_schema', json_schema => { name => 'answer', schema => { type => 'object', properties => {} } } }, 'a JSON schema');

($r, $q, $out) = ask({ %{ file('anthropic/messages.tools.request.json') }, model => 'gpt' });
is_deeply($out->{tools}, file('openai/chat.tools.request.json')->{tools}, 'tools') or diag explain $out->{tools};
my @tools = (tools => [ { name => 'f', input_schema => { type => 'object' } } ]);
for ([ { type => 'auto' }, 'auto' ], [ { type => 'any' }, 'required' ], [ { type => 'none' }, 'none' ],
     [ { type => 'tool', name => 'f' }, { type => 'function', function => { name => 'f' } } ])
{
    ($r, $q, $out) = ask({ model => 'gpt', @hi, @tools, tool_choice => $_->[0] });
    is_deeply($out->{tool_choice}, $_->[1], "tool_choice $_->[0]{type}");
}
($r, $q, $out) = ask({ model => 'gpt', @hi, @tools, tool_choice => { type => 'auto', disable_parallel_tool_use => $true } });
is($out->{parallel_tool_calls}, $false, 'one call at a time');
($r, $q, $out) = ask({ model => 'gpt', @hi, tools => [ { type => 'web_search_20250305', name => 'web_search' } ], tool_choice => { type => 'auto' } });
ok(!exists $out->{tools} && !exists $out->{tool_choice}, 'a tool that Anthropic runs');
is($r->header('x-llm-dropped'), 'tools', '... is left out');

my $png = { type => 'image', source => { type => 'base64', media_type => 'image/png', data => 'aWc=' } };
($r, $q, $out) = ask({ model => 'gpt', max_tokens => 9, messages => [
    { role => 'user', content => 'Stock?' },
    { role => 'assistant', content => [ { type => 'thinking', thinking => 't', signature => 's' }, { type => 'text', text => 'Let ' }, { type => 'text', text => 'me.' },
        { type => 'tool_use', id => 'toolu_1', name => 'f', input => { a => 1 } }, { type => 'tool_use', id => 'toolu_2', name => 'g', input => {} } ] },
    { role => 'user', content => [ { type => 'text', text => 'Here:' }, { type => 'tool_result', tool_use_id => 'toolu_1', content => [ { type => 'text', text => '17' }, $png ] },
        { type => 'tool_result', tool_use_id => 'toolu_2', content => 'none', is_error => $true },
        { type => 'image', source => { type => 'url', url => 'https://example.com/a.png' } },
        { type => 'document', title => 'd.pdf', source => { type => 'base64', media_type => 'application/pdf', data => 'JVBE' } } ] } ] });
is_deeply($out->{messages}, [
    { role => 'user', content => 'Stock?' },
    { role => 'assistant', content => 'Let me.', tool_calls => [
        { id => 'toolu_1', type => 'function', function => { name => 'f', arguments => '{"a":1}' } },
        { id => 'toolu_2', type => 'function', function => { name => 'g', arguments => '{}' } } ] },
    { role => 'tool', tool_call_id => 'toolu_1', content => '17' }, { role => 'tool', tool_call_id => 'toolu_2', content => 'none' },
    { role => 'user', content => [ { type => 'text', text => 'Here:' }, { type => 'image_url', image_url => { url => 'data:image/png;base64,aWc=' } },
        { type => 'image_url', image_url => { url => 'https://example.com/a.png' } },
        { type => 'file', file => { filename => 'd.pdf', file_data => 'data:application/pdf;base64,JVBE' } } ] } ], 'a round of tools, images, documents')
    or diag explain $out->{messages};

my $raw = '"\u0000\ud83d\ude00\ud800 \"\\\\ \/ \u00e9 ü"';
($r, $q) = ask('{"model":"local","max_tokens":9,"temperature":0.70000000000000001,"messages":[{"role":"user","content":' . $raw . '},{"role":"assistant","content":'
    . '[{"type":"tool_use","id":"a","name":"f","input":{"n":12345678901234567890,"s":"\u0000"}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"a","content":"x"}]}]}');
like($q->{body}, qr/"content":\Q$raw\E/, 'strings are copied');
like($q->{body}, qr/"temperature":0\.70000000000000001\b/, 'numbers too');
like($q->{body}, qr/\Q"arguments":"{\"n\":12345678901234567890,\"s\":\"\\u0000\"}"\E/, 'an input becomes a string, digit by digit');

# ---- whole answers --------------------------------------------------------------

($r) = ask({ model => 'gpt', @hi });
my $a = from_json($r->body);
my $chat = file('openai/chat.response.json');
like($a->{id}, qr/^msg_[0-9a-f]{32}$/, 'an id');
is_deeply([ @$a{qw(type role model stop_reason stop_sequence)} ], [ 'message', 'assistant', $chat->{model}, 'end_turn', undef ], 'a message');
is_deeply($a->{content}, [ { type => 'text', text => $chat->{choices}[0]{message}{content} } ], 'its text');
is_deeply($a->{usage}, { input_tokens => $chat->{usage}{prompt_tokens} - ($chat->{usage}{prompt_tokens_details}{cached_tokens} // 0),
    output_tokens => $chat->{usage}{completion_tokens}, cache_creation_input_tokens => 0,
    cache_read_input_tokens => $chat->{usage}{prompt_tokens_details}{cached_tokens} // 0 }, 'usage');
($r) = ask({ model => 'gpt', @hi }, json('chat.cached.response.json'));
my $u = file('openai/chat.cached.response.json')->{usage};
is(from_json($r->body)->{usage}{cache_read_input_tokens}, $u->{prompt_tokens_details}{cached_tokens}, 'cached tokens');
is(from_json($r->body)->{usage}{input_tokens}, $u->{prompt_tokens} - $u->{prompt_tokens_details}{cached_tokens}, '... are no input here');

($r) = ask({ model => 'gpt', @hi }, json('chat.tools.response.json'));
$a = from_json($r->body);
my @calls = @{ file('openai/chat.tools.response.json')->{choices}[0]{message}{tool_calls} };
is_deeply([ grep { $_->{type} eq 'tool_use' } @{ $a->{content} } ],
    [ map { { type => 'tool_use', id => $_->{id}, name => $_->{function}{name}, input => from_json($_->{function}{arguments}) } } @calls ], 'calls');
is($a->{stop_reason}, 'tool_use', '... and their end');
for ([ 'length', 'max_tokens' ], [ 'content-filter', 'refusal' ]) {
    ($r) = ask({ model => 'gpt', @hi }, json("chat.$_->[0].response.json"));
    is(from_json($r->body)->{stop_reason}, $_->[1], "stop_reason of $_->[0]");
}
($r) = ask({ model => 'gpt', @hi }, [ [ json => '{"id":"x","model":"m","choices":[{"message":{"role":"assistant","reasoning":"Hm.","reasoning_content":"Hm.",'
    . '"content":"","tool_calls":[{"id":"c1","function":{"name":"f","arguments":""}}]},"finish_reason":"stop"}]}' ] ]);
$a = from_json($r->body);
is_deeply($a->{content}, [ { type => 'thinking', thinking => 'Hm.', signature => '' }, { type => 'tool_use', id => 'c1', name => 'f', input => {} } ], 'reasoning, a call without arguments');
is($a->{stop_reason}, 'tool_use', '... is a call whatever the server says');

my $stopped = '{"id":"x","model":"m","choices":[{"message":{"role":"assistant","content":"Hi"},"finish_reason":"stop","stop_reason":%s}]}';
for ([ '"END"', 'stop_sequence', 'END' ], [ '128009', 'end_turn', undef ], [ 'null', 'end_turn', undef ]) {
    ($r) = ask({ model => 'gpt', @hi }, [ [ json => sprintf $stopped, $_->[0] ] ]);
    is_deeply([ @{ from_json($r->body) }{qw(stop_reason stop_sequence)} ], [ @$_[1, 2] ], "vLLM's stop_reason $_->[0]");
}

# ---- errors ---------------------------------------------------------------------

for ([ '400-context-length', 400, 'invalid_request_error' ], [ '429-rate-limit-requests', 429, 'rate_limit_error' ], [ '500', 502, 'api_error' ], [ '503-overloaded', 529, 'overloaded_error' ]) {
    ($r) = ask({ model => 'gpt', @hi }, [ [ 'http-file', fixture("openai/error.$_->[0].http") ] ]);
    my $e = from_json($r->body);
    is($r->status, $_->[1], "error.$_->[0]: status");
    is("$e->{type} $e->{error}{type}", "error $_->[2]", "... in Anthropic's form");
    ok(length $e->{error}{message} && $e->{request_id}, '... with a sentence and an id');
}
($r) = ask('{', undef);
is(from_json($r->body)->{error}{type}, 'invalid_request_error', 'no JSON');
($r) = ask({ model => 'nothing', @hi });
is($r->status . from_json($r->body)->{error}{type}, '404not_found_error', 'no such model');
($r) = ask({ model => 'gpt', max_tokens => 1, messages => [ { role => 'user', content => [ { type => 'audio' } ] } ] });
is($r->status . ' ' . $r->header('x-llm-error'), '400 caller_unsupported', 'a block that nobody knows');
($r) = ask({ model => 'gpt', max_tokens => 1, messages => 'Hi' });
is($r->status, 400, 'messages is no array');
($r) = ask({ model => 'gpt', @hi }, undef, '/closed/messages');
is($r->status . from_json($r->body)->{type}, '403error', "nginx's own page");

# ---- streams --------------------------------------------------------------------

# what a client puts together
sub together {
    my ($r) = @_;
    my %got = (content => [], order => '');
    for my $e (Test::LLM::Sse::events($r)) {
        my $d = $e->{json};
        ref $d or do { $got{order} .= '?'; next };
        $got{types}{ $e->{event} // '' } = 1;
        $got{order} .= { message_start => '<', message_delta => 'd', message_stop => '>', content_block_start => '[', content_block_stop => ']', error => '!' }->{ $d->{type} } // '';
        if ($d->{type} eq 'message_start') { $got{message} = $d->{message} }
        if ($d->{type} eq 'content_block_start') { $got{content}[ $d->{index} ] = { %{ $d->{content_block} } } }
        if ($d->{type} eq 'content_block_delta') {
            my $b = $got{content}[ $d->{index} ];
            my ($k) = grep { $_ ne 'type' } keys %{ $d->{delta} };
            $b->{$k} .= $d->{delta}{$k};
        }
        if ($d->{type} eq 'message_delta') { @got{qw(stop usage)} = ($d->{delta}{stop_reason}, $d->{usage}) }
        $got{error} = $d->{error} if $d->{type} eq 'error';
    }
    for (grep { $_->{type} eq 'tool_use' } @{ $got{content} }) {
        my $j = delete $_->{partial_json};
        $_->{input} = from_json($j) if length($j // '');
    }
    return \%got;
}

sub stream {
    my ($script) = @_;
    $up->reset;
    $up->on('/*' => $script);
    return $gw->post('/v1/messages', to_json({ model => 'gpt', @hi, stream => $true }));
}

for my $slice ('1 0', '7 0', '') {
    my $in = $slice ? " in pieces of $slice" : '';
    my $sse = sub { [ $slice ? [ slice => $slice ] : (), [ 'sse-file', fixture("openai/chat.stream$_[0].sse") ] ] };
    my $text = join '', map { $_->{json}{choices}[0]{delta}{content} // '' } grep { ref $_->{json} && @{ $_->{json}{choices} } } Test::LLM::Sse::events(fixture_text('openai/chat.stream.sse'));

    $r = stream($sse->(''));
    my $t = together($r);
    like($r->header('content-type'), qr{^text/event-stream}, 'a stream');
    is($t->{order}, '<[]d>', "order$in");
    is_deeply($t->{content}, [ { type => 'text', text => $text } ], "text$in");
    is($t->{stop}, 'end_turn', '... its end');
    is(join(' ', sort keys %{ $t->{types} }), 'content_block_delta content_block_start content_block_stop message_delta message_start message_stop', '... by name');
    ($q) = $up->received;
    is_deeply(from_json($q->{body})->{stream_options}, { include_usage => $true }, '... usage is asked for');
    cmp_ok($t->{usage}{output_tokens}, '>', 0, '... and told');

    for ([ '.tools', 2 ], [ '.tools-whole', 1 ]) {
        $t = together(stream($sse->($_->[0])));
        is("$t->{stop} " . scalar(grep { $_->{type} eq 'tool_use' && $_->{id} && ref $_->{input} } @{ $t->{content} }), "tool_use $_->[1]", "calls of $_->[0]$in") or diag explain $t;
    }
    for ('.no-done', '.cr', '.crlf', '.nospace', '.obfuscation', '.utf8', '.utf8-escaped', '.empty-frames', '.usage-null', '.no-usage') {
        $t = together(stream($sse->($_)));
        like($t->{order}, qr/^<(\[\])+d>$/, "$_$in");
    }
    is(together(stream($sse->('.length')))->{stop}, 'max_tokens', "a limit$in");
}

my $chunk = sub { [ chunk => 'data: ' . to_json({ id => 'c', model => 'm', choices => [ { index => 0, delta => $_[0], finish_reason => $_[1] } ] }) . "\n\n" ] };
my $t = together(stream([ [ 'begin', '' ],
    $chunk->({ reasoning => 'Hm.' }), $chunk->({ content => 'Yes.' }),
    map({ $chunk->({ tool_calls => [ { index => 0, id => $_, function => { name => 'f', arguments => qq({"x":"$_"}) } } ] }) } 'c1', 'c2'),
    $chunk->({}, 'stop'), [ chunk => "data: [DONE]\n\n" ], [ 'end', '' ] ]));
is_deeply($t->{content}, [ { type => 'thinking', thinking => 'Hm.', signature => '' }, { type => 'text', text => 'Yes.' },
    map { { type => 'tool_use', id => $_, name => 'f', input => { x => $_ } } } 'c1', 'c2' ], 'reasoning, and calls that share an index') or diag explain $t;

# what fails after the first byte
for ([ 'an error', [ chunk => qq(data: {"error":{"message":"No.","type":"server_error"}}\n\n) ], [ 'end', '' ] ], [ 'a cut', [ 'fin', '' ] ]) {
    my ($what, @end) = @$_;
    $t = together(stream([ [ 'begin', '' ], $chunk->({ content => 'Yes' }), [ pause => 300 ], @end ]));
    is($t->{order}, '<[!', "$what in the middle");
    ok($t->{error}{type} && $t->{error}{message}, '... says what');
    is($t->{content}[0]{text}, 'Yes', '... behind what there was');
}

($r) = ask({ model => 'fake', @hi });
is(from_json($r->body)->{type}, 'message', 'the built-in mock');


finish();
