# Streams: each event at once, usage counted and hidden, ends that are ends.

use lib 't/lib';
use Test::LLM;

my $up = Test::LLM::Upstream->new;
my $gw = Test::LLM::Gateway->new(vars => { UP => $up->port }, env => { KEY_A => 'sk-alpha-00001' },
    conf => <<'EOC')->start;
    llm_zone t:4m;
    log_format llm '$request_id|$llm_input_tokens|$llm_cached_tokens|$llm_output_tokens|$llm_error|$llm_status_class|$llm_ttft';
    access_log %%DIR%%/llm.log llm;
    llm_provider a { dialect openai; base_url http://127.0.0.1:%%UP%%/v1; key env:KEY_A; breaker off; }
    llm_provider shy { dialect openai; base_url http://127.0.0.1:%%UP%%/v1; stream_options off; breaker off; }
    llm_model m { provider a; id m-1; }
    server {
        listen 127.0.0.1:%%PORT%%;
        add_header X-Id $request_id always;
        location /v1/ { llm_retry off; llm_pass m; }
        location /shy/ { llm_retry off; llm_pass shy; }
    }
EOC

sub stream {
    my ($script, %o) = @_;
    $up->reset;
    $up->on('/*' => $script);
    return chat($gw, 'm', stream => JSON::PP::true(), %o);
}

sub logged {
    my ($r) = @_;
    my $id = $r->header('x-id');
    my $line = wait_for(sub { (grep { /^\Q$id\E\|/ } split /\n/, $gw->access('llm.log'))[0] });
    return split /\|/, $line // '', -1;
}

sub sse { [ [ 'sse-file', fixture("openai/chat.stream$_[0].sse") ] ] }
sub texts { Test::LLM::Sse::text(Test::LLM::Sse::events(ref $_[0] ? $_[0] : fixture_text("openai/chat.stream$_[0].sse"))) }

# ---- events arrive as they are sent ---------------------------------------------

stream(ok_stream([ 'warm' ]));           # valgrind translates code at its first use
my $r = stream(ok_stream([ 'One', [ pause => 250 ], ' two', [ pause => 250 ], ' three' ]));
my @e = Test::LLM::Sse::events($r);
is($r->status, 200, 'streamed');
like($r->header('content-type'), qr{^text/event-stream}, 'event stream');
is($r->header('content-length'), undef, 'no length');
is(Test::LLM::Sse::text(@e), 'One two three', 'text');
ok(Test::LLM::Sse::done(@e), '[DONE] is last');
ok($r->complete, 'the answer is framed to its end');
my %at = map { ($_->{json}{choices}[0]{delta}{content} // '') => $_->{at} } grep { ref $_->{json} } @e;
cmp_ok($at{' two'} - $at{One}, '>', 0.15, 'the first event did not wait for the second');
cmp_ok($at{' three'} - $at{' two'}, '>', 0.15, 'nor the second for the third');

# ---- usage ------------------------------------------------------------------------

$r = stream(ok_stream([ 'x' ], usage => { prompt_tokens => 20, completion_tokens => 7, total_tokens => 27,
    prompt_tokens_details => { cached_tokens => 5 } }));
my ($q) = $up->received;
is(from_json($q->{body})->{stream_options}{include_usage}, JSON::PP::true(), 'usage is asked for');
is((grep { ref $_->{json} && !@{ $_->{json}{choices} } } Test::LLM::Sse::events($r)), 0,
   'the usage chunk is hidden from a client that did not ask');
ok(Test::LLM::Sse::done(Test::LLM::Sse::events($r)), '... [DONE] is not');
my @f = logged($r);
is($f[1], 20, 'input tokens counted');
is($f[2], 5, 'cached tokens');
is($f[3], 7, 'output tokens');

$r = stream(ok_stream([ 'x' ], usage => { prompt_tokens => 20, completion_tokens => 7, total_tokens => 27 }),
            stream_options => { include_usage => JSON::PP::true() });
is((grep { ref $_->{json} && $_->{json}{usage} } Test::LLM::Sse::events($r)), 1, 'a client that asked gets the chunk');

$r = stream(ok_stream([ 'x' ], usage => { prompt_tokens => 20, completion_tokens => 7, total_tokens => 27 }),
            stream_options => { include_usage => JSON::PP::false(), include_obfuscation => JSON::PP::false() });
($q) = $up->received;
is_deeply(from_json($q->{body})->{stream_options}, { include_usage => JSON::PP::true(), include_obfuscation => JSON::PP::false() },
          'set inside existing stream_options');

# a provider that refuses to be asked tells it with the finish
for my $t ([ 'chat/completions' ], [ 'chat/completions', { include_usage => JSON::PP::true() } ], [ 'messages' ]) {
    my ($path, $options) = @$t;
    $up->reset;
    $up->on('/*' => [ [ begin => '' ], map({ [ chunk => "data: $_\\n\\n" ] }
        '{"id":"c","model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":"x"},"finish_reason":null}]}',
        '{"id":"c","model":"m","choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":20,"completion_tokens":7,"total_tokens":27}}',
        '[DONE]'), [ end => '' ] ]);
    $r = $gw->post("/shy/$path", to_json({ model => 'm', max_tokens => 9, stream => JSON::PP::true(), messages => [ { role => 'user', content => 'Hi' } ],
        $options ? (stream_options => $options) : () }));
    ($q) = $up->received;
    is($r->status, 200, "stream_options off, $path" . ($options ? ', asked for' : ''));
    unlike($q->{body}, qr/stream_options/, '... nor mentioned');
    is($r->header('x-llm-dropped'), undef, '... which is nobody\'s loss');
    @f = logged($r);
    is("$f[1] $f[3]", '20 7', '... but counted');
}

$r = stream([ [ 'sse-file', fixture('groq/chat.stream.sse') ] ]);
@f = logged($r);
like($f[1], qr/^\d+$/, 'usage inside x_groq');

$r = stream(sse('.no-usage'));
@f = logged($r);
is($r->status, 200, 'no usage: served all the same');
ok(!length $f[1] || $f[1] =~ /^-$|^\d+$/, '... unknown or estimated, never garbage');

$r = stream(sse('.usage-null'));
@f = logged($r);
like($f[3], qr/^[1-9]\d*$/, 'usage null until the last chunk');

# twice: the later one counts, never the sum
$r = stream(event_script(
    '{"id":"1","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"a"},"finish_reason":null}],"usage":{"prompt_tokens":5,"completion_tokens":1,"total_tokens":6}}',
    '{"id":"1","object":"chat.completion.chunk","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}',
    '{"id":"1","object":"chat.completion.chunk","choices":[],"usage":{"prompt_tokens":5,"completion_tokens":2,"total_tokens":7}}',
    '[DONE]'));
@f = logged($r);
is("$f[1]/$f[3]", '5/2', 'usage twice: the last one');

# ---- every kind of framing --------------------------------------------------------

my $want = texts('');
for my $kind ('', '.crlf', '.cr', '.nospace', '.obfuscation', '.empty-frames') {
    for my $slice ('', '7 0', '1 0') {
        my $script = [ $slice ? [ slice => $slice ] : (), @{ sse($kind) } ];
        my $r = stream($script);
        is(texts($r), texts($kind), "text of chat.stream$kind.sse" . ($slice ? " in pieces of $slice" : ''));
        ok(Test::LLM::Sse::done(Test::LLM::Sse::events($r)), '... ends with [DONE]') or diag $r->body;
    }
}

for my $kind (qw(.utf8 .utf8-escaped .tools .tools-whole .n2 .length)) {
    my $r = stream([ [ slice => '13 0' ], @{ sse($kind) } ]);
    my @got = map { $_->{data} } grep { ref $_->{json} && @{ $_->{json}{choices} } } Test::LLM::Sse::events($r);
    my @want = map { $_->{data} } grep { ref $_->{json} && @{ $_->{json}{choices} } }
        Test::LLM::Sse::events(fixture_text("openai/chat.stream$kind.sse"));
    is_deeply(\@got, \@want, "chat.stream$kind.sse: each event unchanged");
}

# cut at each byte of the first events: what the client sees does not change
my $bytes = join '', map { "data: $_\n\n" }
    '{"id":"1","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}',
    '{"id":"1","choices":[{"index":0,"delta":{"content":"ä\n"},"finish_reason":null}]}',
    '{"id":"1","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}',
    '{"id":"1","choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}', '[DONE]';
for my $eol ("\n", "\r\n", "\r") {
    my $data = $bytes =~ s/\n/$eol/gr;
    my $n = length $data;
    $up->reset;
    $up->on("/v1/chat/completions" => map {
        [ [ bytes => substr $data, 0, $_ ], [ pause => 15 ], [ bytes => substr $data, $_ ] ]
    } 1 .. $n - 1);
    my @all;
    for (my $i = 1; $i < $n; $i += 50) {
        my $m = $n - $i < 50 ? $n - $i : 50;
        push @all, $gw->many(20, map {
            [ POST => '/v1/chat/completions', {}, chat_body('m', stream => JSON::PP::true()) ] } 1 .. $m);
    }
    my %seen;
    $seen{ join '|', map { $_->{data} } Test::LLM::Sse::events($_) }++ for @all;
    is(scalar keys %seen, 1, sprintf '%d cuts, one result (%s)', scalar @all, unpack 'H*', $eol) or diag explain \%seen;
    my ($one) = keys %seen;
    like($one, qr/\|\[DONE\]$/, '... complete');
    unlike($one, qr/prompt_tokens/, '... without the usage chunk');
}

# ---- odd streams -------------------------------------------------------------------

$r = stream(sse('.no-done'));
ok(Test::LLM::Sse::done(Test::LLM::Sse::events($r)), 'a missing [DONE] is added');
is(texts($r), texts('.no-done'), '... and the text is whole');

$r = stream([ [ 'sse-file', fixture('hostile/garbage.stream.sse') ] ]);
@e = Test::LLM::Sse::events($r);
ok(!(grep { !ref $_->{json} && $_->{data} ne '[DONE]' } @e), 'an event that is no JSON is dropped') or diag $r->body;
ok(Test::LLM::Sse::done(@e), '... the rest arrives');

for my $f (qw(bom multi-line-data fields big-event nul-escape lone-surrogate invalid-utf8)) {
    my $r = stream([ [ slice => '11 0' ], [ 'sse-file', fixture("hostile/$f.stream.sse") ] ]);
    my @e = Test::LLM::Sse::events($r);
    my @want = grep { !ref $_->{json} || @{ $_->{json}{choices} } } Test::LLM::Sse::events(fixture_text("hostile/$f.stream.sse"));
    is_deeply([ map { $_->{json} } @e ], [ map { $_->{json} } @want ], "hostile/$f.stream.sse") or diag $r->body;
}

for my $f (qw(openrouter/chat.stream openrouter/chat.stream.double-finish openrouter/chat.stream.reasoning
              azure/chat.stream vllm/chat.stream llamacpp/chat.stream ollama/chat.stream gemini-openai/chat.stream))
{
    my $r = stream([ [ slice => '17 0' ], [ 'sse-file', fixture("$f.sse") ] ]);
    my $full = fixture_text("$f.sse");
    is(Test::LLM::Sse::text(Test::LLM::Sse::events($r)), Test::LLM::Sse::text(Test::LLM::Sse::events($full)), "$f.sse: text");
    ok(Test::LLM::Sse::done(Test::LLM::Sse::events($r)), '... done') or diag $r->body;
    ok($r->complete, '... complete');
}

# a JSON answer to a streaming request passes as it is
$r = stream(ok_chat('whole'));
is($r->status, 200, 'JSON instead of a stream');
is($r->json->{choices}[0]{message}{content}, 'whole', '... passes') or diag $r->body;

# Responses and transcription streams have no [DONE]
$up->reset;
$up->on('/*' => [ [ slice => '19 0' ], [ 'sse-file', fixture('openai/responses.stream.sse') ] ]);
$r = $gw->http(POST => '/v1/responses', {}, '{"model":"m","input":"x","stream":true}');
is($r->body, fixture_text('openai/responses.stream.sse'), 'a Responses stream passes unchanged');
@f = logged($r);
like($f[3], qr/^[1-9]\d*$/, '... its usage is counted');

# ---- cut streams --------------------------------------------------------------------

for my $kind (qw(.cut .cut-inside-event .error-midway)) {
    my $r = stream([ [ slice => '300 20' ], @{ sse($kind) }, 'fin' ]);
    my @e = Test::LLM::Sse::events($r);
    ok(!(grep { $_->{data} eq '[DONE]' } @e), "chat.stream$kind.sse: no [DONE]");
    ok(Test::LLM::Sse::error(@e), '... an error event') or diag $r->body;
    is((logged($r))[4], 'provider_cut', '... $llm_error') or diag $r->body;
}

# ... also when the transfer itself is framed to its end
$r = stream([ [ slice => '300 20' ], @{ sse('.cut') } ]);
ok(Test::LLM::Sse::error(Test::LLM::Sse::events($r)), 'a clean end of an unfinished answer is a cut');

# ... and when it comes in one piece with its content, it may still be refused
$r = stream(sse('.cut'));
ok($r->status == 502 || Test::LLM::Sse::error(Test::LLM::Sse::events($r)), 'cut in one piece: a failure or a cut') or diag $r->wire;

finish();
