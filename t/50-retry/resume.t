# Streams that are cut and go on with another target's answer: the client sees
# one answer, whole and in order, or an error event.

use lib 't/lib';
use Test::LLM;

my $up = Test::LLM::Upstream->new;
my $gw = Test::LLM::Gateway->new(vars => { UP => $up->port }, conf => <<'EOC')->start;
    llm_zone t:8m;
    log_format llm '$llm_attempts|$llm_resumes|$llm_status_class|$llm_error|$llm_provider|$llm_input_tokens|$llm_output_tokens|$llm_cost|$upstream_status';
    access_log %%DIR%%/llm.log llm;
    llm_provider a { dialect openai; base_url http://127.0.0.1:%%UP%%/a/v1; breaker off; timeout idle=300ms first=400ms total=1500ms; }
    llm_provider b { dialect openai; base_url http://127.0.0.1:%%UP%%/b/v1; breaker off; timeout idle=300ms first=400ms; }
    llm_provider c { dialect openai; base_url http://127.0.0.1:%%UP%%/c/v1; breaker off; prefill continue; }
    llm_provider d { dialect openai; base_url http://127.0.0.1:%%UP%%/d/v1; breaker off; prefill prefix echo; }
    llm_provider g { dialect gemini; base_url http://127.0.0.1:%%UP%%/g/v1beta; breaker off; timeout idle=5s first=5s; }
    llm_provider e { dialect anthropic; base_url http://127.0.0.1:%%UP%%/e/v1; breaker off; }
    llm_model ma { provider a; id m-a; price input=1 output=10; }
    llm_model mb { provider b; id m-b; price input=2 output=20; }
    llm_model mp { provider b; id m-p; can chat stream prefill json_object; price input=2 output=20; }
    llm_model mc { provider c; id m-c; can chat stream prefill; }
    llm_model md { provider d; id m-d; can chat stream prefill; }
    llm_model me { provider e; id claude-3-5-haiku; can chat stream prefill; }
    llm_model mg { provider g; id m-g; }
    llm_route gemini  { target ma; target mg; resume on; }
    llm_route afresh  { target ma; target mb; resume on; }
    llm_route prefix  { target ma; target mp; resume on; }
    llm_route three   { target ma; target mb; target mc; resume on; }
    llm_route echo    { target ma; target md; resume on; }
    llm_route claude  { target ma; target me; resume on; }
    llm_route back    { target me; target mp; resume on; }
    llm_route two-e   { target me; target me; resume on; }
    llm_route off     { target ma; target mb; }
    llm_route timeout { target ma; target mb on=timeout; resume on; }
    llm_route small   { target ma; target mb; resume on max=1k; }
    server {
        listen 127.0.0.1:%%PORT%%;
        llm_retry 1 backoff=1ms..2ms budget=1000%;
        llm_session $http_x_session;
        location ~ ^/(?<route>[a-z-]+)/ { llm_pass $route; }
    }
EOC

my $true = JSON::PP::true();
my $asked = 0;

sub ask {
    my ($route, %o) = @_;
    my $path = delete $o{path} || 'v1/chat/completions';
    $asked++;
    return chat($gw, 'x', path => "/$route/$path", stream => $true, %o);
}

sub events { Test::LLM::Sse::events($_[0]) }
sub text { Test::LLM::Sse::text(events($_[0])) }

# the line of the last request, which may come a moment after its answer
sub logged {
    my @l;
    wait_for(sub { @l = split /\n/, $gw->access('llm.log'); @l >= $asked });
    return (split /\|/, $l[-1], -1);
}

# a stream of a that says this and then ends like that
sub cut {
    my ($parts, @how) = @_;
    my $s = ok_stream($parts, finish => undef, done => 0);
    return [ @$s, map { ref $_ ? $_ : [ $_ ] } @how ];
}

sub answers {
    my (%s) = @_;
    $up->reset;
    for my $name (sort keys %s) {
        my $s = $s{$name};
        $up->on("/$name/*" => ref $s->[0][0] ? @$s : $s);
    }
}

# one answer, as if nothing had happened
sub one_answer {
    my ($r, $text, $what) = @_;
    my @e = events($r);
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    is($r->status, 200, "$what: status");
    is(text($r), $text, '... the text, once and in order') or diag $r->wire;
    ok(Test::LLM::Sse::done(@e) && $r->complete, '... to its end') or diag $r->wire;
    ok(!Test::LLM::Sse::error(@e), '... without an error');
    my %id = map { $_->{json}{id} => 1 } grep { ref $_->{json} } @e;
    is_deeply([ keys %id ], [ 'chatcmpl-s' ], '... under one id');
    my %model = map { $_->{json}{model} => 1 } grep { ref $_->{json} } @e;
    is_deeply([ keys %model ], [ 'm-a' ], '... of one model');
    is((grep { ref $_->{json} && (($_->{json}{choices}[0] || {})->{finish_reason} // '') eq 'stop' } @e), 1,
       '... that stops once');
    is((grep { ref $_->{json} && (($_->{json}{choices}[0] || {})->{delta}{role} // '') } @e), 1, '... and begins once');
}

sub cut_answer {
    my ($r, $text, $what) = @_;
    my @e = events($r);
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    is(text($r), $text, "$what: what came") or diag $r->wire;
    ok(Test::LLM::Sse::error(@e), '... an error event') or diag $r->wire;
    unlike($r->body, qr/\[DONE\]/, '... no [DONE]');
    is((grep { Test::LLM::Sse::error($_) } @e), 1, '... one');
}


# ---- asked afresh --------------------------------------------------------------

my $same = ok_stream([ 'One', ' two', ' three', ' four' ]);
my %how = (
    'a reset' => [ [ pause => 20 ], 'rst' ],
    'an end of the connection' => [ [ pause => 20 ], 'fin' ],
    'an end of the body' => [ [ pause => 20 ], 'end' ],
    'silence' => [ 'hang' ],
    'an error event' => [ [ pause => 20 ], [ event => '{"error":{"message":"overloaded","code":500}}' ], 'end' ],
    'a broken chunk' => [ [ pause => 20 ], [ 'chunk-raw' => 'zz\r\n' ], 'ended', 'hang' ],
);

for my $name (sort keys %how) {
    answers(a => cut([ 'One', ' two' ], @{ $how{$name} }), b => $same);
    my $r = ask('afresh');
    one_answer($r, 'One two three four', $name);
    is(join('|', (logged())[0 .. 4]), '2|1|ok|-|b', '... in the log');
}

# how its pieces are cut does not matter
answers(a => cut([ 'One', ' tw' ], [ pause => 20 ], 'rst'), b => [ [ event => '{"choices":[{"index":0,"delta":{"content":"One\\u0020t"}}]}' ], @{ ok_stream([ "wo \x{e4}\"", ' end' ]) } ]);
one_answer(ask('afresh'), "One two \x{e4}\" end", 'other pieces');

answers(a => cut([ 'One', ' two' ], [ pause => 20 ], 'rst'), b => ok_chat('One two three'));
one_answer(ask('afresh'), 'One two three', 'an answer that does not stream');

# all of it was there, but the end
answers(a => cut([ 'One', ' two' ], [ pause => 20 ], 'rst'), b => ok_stream([ 'One', ' two' ]));
one_answer(ask('afresh'), 'One two', 'nothing but the end was missing');

# a finished answer needs nobody
answers(a => [ @{ ok_stream([ 'One' ], done => 0) }, [ pause => 20 ], [ 'rst' ] ], b => $same);
one_answer(ask('afresh'), 'One', 'a finished answer whose connection breaks');
is($up->count('/b/*'), 0, '... is asked of nobody else');

# ---- another answer, or none -----------------------------------------------------

my @cut = ([ 'One', ' two' ], [ pause => 20 ], 'rst');

my %other = (
    'another text' => ok_stream([ 'One', ' three' ]),
    'a shorter text' => ok_stream([ 'One' ]),
    'a tool' => [ [ event => '{"choices":[{"index":0,"delta":{"role":"assistant","tool_calls":[{"index":0,"id":"c","type":"function","function":{"name":"f","arguments":"{}"}}]}}]}' ],
                  [ event => '{"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}' ], [ event => '[DONE]' ] ],
    'a refusal' => reply(400, {}, '{"error":{"message":"no","type":"invalid_request_error"}}'),
    'another JSON answer' => ok_chat('One three'),
    'an error in front' => [ [ event => '{"error":{"message":"x","code":500}}' ], [ 'end' ] ],
    'nothing' => [ [ begin => '' ], [ 'fin' ] ],
    'half of it, and a cut' => cut([ 'One' ], [ pause => 20 ], 'rst'),
    'status 500' => reply(500, {}, '{"error":{"message":"x"}}'),
);

for my $name (sort keys %other) {
    answers(a => cut(@cut), b => $other{$name});
    cut_answer(ask('afresh'), 'One two', $name);
    my @l = logged();
    is(join('|', @l[1 .. 3]), '0|cut|provider_cut', '... in the log');

    # a third one
    answers(a => cut(@cut), b => $other{$name}, c => ok_stream([ ' three' ]));
    one_answer(ask('three'), 'One two three', "$name, then a third");
}

answers(a => cut(@cut), b => $same);
cut_answer(ask('off'), 'One two', 'without resume');
is($up->count('/b/*'), 0, '... nobody else is asked');
answers(a => cut(@cut), b => $same);
cut_answer(ask('timeout'), 'One two', 'a target for timeouts');
is($up->count('/b/*'), 0, '... is not asked after a reset');
answers(a => cut([ 'One', ' two' ], 'hang'), b => $same);
one_answer(ask('timeout'), 'One two three four', '... but after silence');

# an answer that ends too soon, in a chunk without a text: nobody waits for more
answers(a => cut(@cut), g => [ map { [ event => to_json($_) ] }
    { candidates => [ { index => 0, content => { role => 'model', parts => [ { text => 'One' } ] } } ] },
    { candidates => [ { index => 0, finishReason => 'STOP' } ] } ]);
my $since = time;
cut_answer(ask('gemini'), 'One two', 'an answer of Gemini that ends too soon');
cmp_ok(time - $since, '<', 3, '... at once');

# the target of a session was asked first: behind it comes the chain from its start
answers(a => reply(500, {}, '{"error":{"message":"x"}}'), b => ok_stream([ 'x' ]));
is(text(ask('afresh', headers => { 'X-Session' => 's' })), 'x', 'a session with the second target');
answers(a => $same, b => cut(@cut));
is(text(ask('afresh', headers => { 'X-Session' => 's' })), 'One two three four', '... whose stream is cut: the first one goes on');
is($up->count('/b/*'), 1, '... and the second is asked once');
answers(a => $same, b => $same);
ask('afresh', headers => { 'X-Session' => 's' });
is($up->count('/b/*'), 0, '... nor for the next request, which follows who went on');

answers(a => cut([ 'x' x 600, 'y' x 600 ], [ pause => 20 ], 'rst'), b => $same);
is((grep { Test::LLM::Sse::error($_) } events(ask('small'))), 1, 'a text longer than max=');
is($up->count('/b/*'), 0, '... is not continued');

# what cannot be continued
my $say = sub { [ event => to_json({ choices => [ { index => 0, delta => $_[0] } ] }) ] };
my %shown = (
    'a call of a tool' => [ $say->({ tool_calls => [ { index => 0, id => 'c', type => 'function', function => { name => 'f', arguments => '{' } } ] }) ],
    'a refusal that was shown' => [ $say->({ refusal => 'no' }) ],
    'reasoning' => [ $say->({ reasoning_content => 'hm' }) ],
    'text, then reasoning' => [ $say->({ content => 'One' }), $say->({ reasoning_content => 'hm' }) ],
    'sound' => [ $say->({ audio => { id => 'a', data => 'AAAA' } }) ],
    'half a character' => [ [ event => '{"choices":[{"index":0,"delta":{"content":"One \\ud83d"}}]}' ] ],
    'a second choice' => [ $say->({ content => 'One' }), [ event => '{"choices":[{"index":1,"delta":{"content":"x"}}]}' ] ],
);
for my $name (sort keys %shown) {
    answers(a => [ @{ $shown{$name} }, [ pause => 20 ], [ 'rst' ] ], b => $same);
    is((grep { Test::LLM::Sse::error($_) } events(ask('afresh'))), 1, "$name: an error event");
    is($up->count('/b/*'), 0, '... and nobody goes on');
}
for my $o ([ n => 2 ], [ logprobs => $true ]) {
    answers(a => cut(@cut), b => $same);
    cut_answer(ask('afresh', @$o), 'One two', $o->[0]);
    is($up->count('/b/*'), 0, '... and nobody goes on');
}

answers(a => [ $say->({ reasoning_content => 'hm' }), $say->({ content => 'One' }), [ pause => 20 ], [ 'rst' ] ],
        b => [ $say->({ reasoning_content => 'well' }), $say->({ content => 'One' }), $say->({ content => ' two' }),
               [ event => '{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}' ], [ event => '[DONE]' ] ]);
my $r = ask('afresh');
is(text($r), 'One two', 'text behind reasoning goes on');
unlike($r->body, qr/well/, '... without the reasoning of the other');

# ---- given the text so far ---------------------------------------------------------

sub last_message { my ($req) = $up->received("/$_[0]/*"); return from_json($req->{body})->{messages}[-1] }

answers(a => cut(@cut), b => ok_stream([ ' three', ' four' ]));
one_answer(ask('prefix', max_tokens => 10), 'One two three four', 'a target that takes a prefix');
is_deeply(last_message('b'), { role => 'assistant', content => 'One two' }, '... was given the text');
is(from_json(($up->received('/b/*'))[0]{body})->{max_tokens}, 8, '... and what is left of max_tokens');

answers(a => cut([ "a \"q\" \x{e4}\n" ], [ pause => 20 ], 'rst'), b => ok_stream([ 'x' ]));
is(text(ask('prefix')), "a \"q\" \x{e4}\nx", 'a text with quotes and line ends');
is(last_message('b')->{content}, "a \"q\" \x{e4}\n", '... as it was');

answers(a => cut(@cut), b => [ [ event => '{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}' ], [ event => '[DONE]' ] ]);
is(text(ask('prefix')), 'One two', 'who has nothing to add');
is((logged())[1], 1, '... has gone on');

answers(a => cut(@cut), b => [ reply(400, {}, '{"error":{"message":"no prefill","type":"invalid_request_error"}}'), $same ]);
one_answer(ask('prefix'), 'One two three four', 'who refuses a prefix is asked afresh');
is($up->count('/b/*'), 2, '... at once');

answers(a => cut(@cut), b => $same);
one_answer(ask('prefix', response_format => { type => 'json_object' }), 'One two three four', 'an answer in JSON');
is(last_message('b')->{role}, 'user', '... is asked afresh');

answers(a => cut(@cut), b => $same);
$asked++;
$r = $gw->http(POST => '/prefix/v1/chat/completions', {}, to_json({ model => 'x', stream => $true,
    messages => [ { role => 'user', content => 'Hi' }, { role => 'assistant', content => 'Well,' } ] }));
is(text($r), 'One two three four', 'a client with a prefix of its own');
is(last_message('b')->{content}, 'Well,', '... keeps it');

answers(a => cut(@cut), b => cut([ 'One', ' two', ' 3' ], [ pause => 20 ], 'rst'), c => ok_stream([ ' 4' ]));
one_answer(ask('three'), 'One two 3 4', 'cut twice');
is_deeply(last_message('c'), { role => 'assistant', content => 'One two 3' }, '... the third has all of it');
my $body = from_json(($up->received('/c/*'))[0]{body});
ok($body->{continue_final_message} && !$body->{add_generation_prompt} && exists $body->{add_generation_prompt},
   '... as its server wants it');
is((logged())[1], 2, '... twice in the log');

answers(a => cut(@cut), d => ok_stream([ 'One two three' ]));
one_answer(ask('echo'), 'One two three', 'a server that repeats the prefix');
is_deeply(last_message('d'), { role => 'assistant', content => 'One two', prefix => $true }, '... and wants a flag');

# ---- Anthropic -------------------------------------------------------------------------

sub anthropic {
    my ($parts, %o) = @_;
    my @s = ([ bytes => qq{event: message_start\ndata: {"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"claude-x","content":[],"usage":{"input_tokens":7,"output_tokens":1}}}\n\n} ],
             [ bytes => qq{event: content_block_start\ndata: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}\n\n} ],
             (map { [ bytes => qq{event: content_block_delta\ndata: } . to_json({ type => 'content_block_delta', index => 0, delta => { type => 'text_delta', text => $_ } }) . "\n\n" ] } @$parts));
    return [ @s, @{ $o{then} } ] if $o{then};
    return [ @s, [ bytes => qq{event: content_block_stop\ndata: {"type":"content_block_stop","index":0}\n\n} ],
             [ bytes => qq{event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":5}}\n\n} ],
             [ bytes => qq{event: message_stop\ndata: {"type":"message_stop"}\n\n} ] ];
}

sub messages {
    my ($route, %o) = @_;
    $asked++;
    return $gw->http(POST => "/$route/v1/messages", {}, to_json({ model => 'x', max_tokens => 50, stream => $true,
        messages => [ { role => 'user', content => 'Hi' } ], %o }));
}

sub said { join '', map { ref $_->{json} ? $_->{json}{delta}{text} // '' : '' } @_ }

# one message, block by block
sub one_message {
    my ($r, $text, $what) = @_;
    my @e = events($r);
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    is(said(@e), $text, "$what: the text, once and in order") or diag $r->wire;
    is(join(' ', map { $_->{event} =~ /delta$/ && $_->{event} ne 'message_delta' ? () : $_->{event} } @e),
       'message_start content_block_start content_block_stop message_delta message_stop', '... in one block')
        or diag $r->wire;
    ok($r->complete, '... to its end');
}

answers(a => cut([ 'One', ' two', "\n" ], [ pause => 20 ], 'rst'), e => anthropic([ "\nthree" ]));
one_answer(ask('claude'), "One two\nthree", 'Anthropic goes on with a chat');
is(last_message('e')->{content}, 'One two', '... without the white space it refuses');
answers(a => cut([ 'One', ' two', "\n" ], [ pause => 20 ], 'rst'), e => anthropic([ 'three' ]));
cut_answer(ask('claude'), "One two\n", '... and not where that would be lost');

answers(e => anthropic([ 'One', ' two' ], then => [ [ pause => 20 ], [ 'rst' ] ]), b => ok_stream([ ' three' ]));
$r = messages('back');
one_message($r, 'One two three', 'OpenAI goes on with a message');
my ($start) = grep { $_->{event} eq 'message_start' } events($r);
is($start->{json}{message}{id}, 'msg_1', '... of that id');

$up->reset;
$up->on('/e/*' => anthropic([ 'One', ' two' ], then => [ [ pause => 20 ], [ 'rst' ] ]), anthropic([ ' three' ]));
one_message(messages('two-e'), 'One two three', 'Anthropic goes on with Anthropic');
is((($up->received('/e/*'))[1]{json} || from_json(($up->received('/e/*'))[1]{body}))->{messages}[-1]{content}, 'One two', '... given the text');
is((logged())[5] . ' ' . (logged())[6], '7 7', '... the prompt of the first, the tokens of both');

$up->reset;
$up->on('/e/*' => anthropic([ 'One' ], then => [ [ bytes => qq{event: content_block_stop\ndata: {"type":"content_block_stop","index":0}\n\nevent: content_block_start\ndata: {"type":"content_block_start","index":1,"content_block":{"type":"server_tool_use","id":"s","name":"web_search","input":{}}}\n\n} ], [ pause => 20 ], [ 'rst' ] ]));
$r = messages('two-e');
like($r->body, qr/event: error/, 'a tool of the server was shown: an error event');
is($up->count('/e/*'), 1, '... and nobody goes on');

# ---- usage and cost -----------------------------------------------------------------------

my $usage = { prompt_tokens => 12, completion_tokens => 3, total_tokens => 15 };

answers(a => cut(@cut), b => ok_stream([ ' three', ' four' ], usage => $usage));
$r = ask('prefix', stream_options => { include_usage => $true });
my ($u) = map { $_->{json}{usage} } grep { ref $_->{json} && $_->{json}{usage} } events($r);
is(join(' ', @$u{qw(prompt_tokens completion_tokens total_tokens)}), '10 5 15', 'usage of both, with a prefix');
my @l = logged();
is("$l[5] $l[6] $l[7]", '10 5 0.000114', '... in the log, with what both cost');

answers(a => cut(@cut), b => ok_stream([ 'One', ' two', ' three' ], usage => $usage));
$r = ask('afresh', stream_options => { include_usage => $true });
($u) = map { $_->{json}{usage} } grep { ref $_->{json} && $_->{json}{usage} } events($r);
is(join(' ', @$u{qw(prompt_tokens completion_tokens total_tokens)}), '12 3 15', 'usage, asked afresh');
@l = logged();
is("$l[5] $l[6] $l[7]", '12 3 0.000116', '... in the log, with what both cost');

answers(a => cut(@cut), b => ok_stream([ 'One', ' two', ' three' ], usage => $usage));
$r = ask('afresh');
is((grep { ref $_->{json} && $_->{json}{usage} } events($r)), 0, 'no usage for who did not ask');

finish();
