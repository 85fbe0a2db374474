# Functions of the time before tools: they go on as they are where chats are
# spliced, and become tools, and calls of them function calls again, elsewhere.

use lib 't/lib';
use Test::LLM;

my $up = Test::LLM::Upstream->new;
my $gw = Test::LLM::Gateway->new(vars => { UP => $up->port }, env => { KEY_A => 'sk-alpha-00001' }, conf => <<'EOC')->start;
    llm_zone t:4m;
    llm_key_pool k { key env:KEY_A; cooldown off; }
    llm_provider pa { dialect anthropic; base_url http://127.0.0.1:%%UP%%/a; keys k; breaker off; }
    llm_provider pg { dialect gemini; base_url http://127.0.0.1:%%UP%%/g; keys k; breaker off; }
    llm_provider po { dialect openai; base_url http://127.0.0.1:%%UP%%/o; keys k; breaker off; }
    llm_model a { provider pa; id claude-sonnet-5; }
    llm_model g { provider pg; id gemini-3-pro; }
    llm_model o { provider po; id gpt; }
    llm_model plain { provider pa; id claude-sonnet-5; can chat stream; }
    server {
        listen 127.0.0.1:%%PORT%%;
        location /v1/ { llm_retry off; llm_pass $llm_model; }
    }
EOC

my %functions = (functions => [ { name => 'stock_level', description => 'd', parameters => { type => 'object', properties => {} } } ]);
my @round = ({ role => 'user', content => 'How many?' },
    { role => 'assistant', content => undef, function_call => { name => 'stock_level', arguments => '{"sku":"A-9"}' } },
    { role => 'function', name => 'stock_level', content => 'none' });
my %says = (a => 'anthropic/messages', g => 'gemini/generate');

sub ask {
    my ($body, $script) = @_;
    $up->reset;
    $up->on('/*' => $script);
    my $r = $gw->post('/v1/chat/completions', to_json($body));
    my ($q) = $up->received;
    return ($r, $q, $q && from_json($q->{body}));
}

sub json { [ [ json => fixture_text("$_[0].response.json") ] ] }

for my $m ('a', 'g') {
    my ($r) = ask({ model => $m, messages => [ $round[0] ], %functions }, json("$says{$m}.tools"));
    my $c = from_json($r->body)->{choices}[0];
    is($c->{finish_reason}, 'function_call', "$m: finish");
    is($c->{message}{function_call}{name}, 'stock_level', "$m: the call");
    is(from_json($c->{message}{function_call}{arguments})->{sku}, 'A-9', '... the first one');
    ok(!exists $c->{message}{tool_calls}, '... and no tools');

    ($r) = ask({ model => $m, messages => [ $round[0] ], %functions, stream => JSON::PP::true() },
        [ [ slice => '200 1' ], [ 'sse-file', fixture($m eq 'a' ? 'anthropic/messages.stream.tools.sse' : 'gemini/stream.tools.sse') ] ]);
    my @c = map { $_->{choices}[0] } map { from_json($_) } $r->body =~ /^data: (\{.*)$/mg;
    is($c[-1]{finish_reason}, 'function_call', "$m: finish of a stream");
    is(join('', map { $_->{delta}{function_call}{name} // '' } @c), 'stock_level', '... the call');
    is(from_json(join '', map { $_->{delta}{function_call}{arguments} // '' } @c)->{sku}, 'A-9', '... its arguments');
    unlike($r->body, qr/tool_calls/, '... and no tools');
    like($r->body, qr/data: \[DONE\]\n\n\z/, '... to the end');

    ($r) = ask({ model => $m, messages => [ $round[0] ], %functions }, json($says{$m}));
    is(from_json($r->body)->{choices}[0]{finish_reason}, 'stop', "$m: an answer without a call");
}

my ($r, $q, $out) = ask({ model => 'a', messages => \@round, %functions, function_call => { name => 'stock_level' } }, json('anthropic/messages'));
is($r->status, 200, 'a round of functions') or diag $r->body;
is_deeply($out->{tools}, [ { name => 'stock_level', description => 'd', input_schema => { type => 'object', properties => {} } } ], 'tools');
is_deeply($out->{tool_choice}, { type => 'tool', name => 'stock_level' }, 'one that has to be called');
is_deeply([ @{ $out->{messages} }[1, 2] ], [
    { role => 'assistant', content => [ { type => 'tool_use', id => 'function_1', name => 'stock_level', input => { sku => 'A-9' } } ] },
    { role => 'user', content => [ { type => 'tool_result', tool_use_id => 'function_1', content => 'none' } ] } ], 'a call and its result');
is($r->header('x-llm-dropped'), undef, 'nothing is lost');

($r, $q, $out) = ask({ model => 'g', messages => \@round, %functions, function_call => 'none' }, json('gemini/generate'));
is_deeply($out->{contents}[2], { role => 'user', parts => [ { functionResponse => { id => 'function_1', name => 'stock_level', response => { output => 'none' } } } ] },
    'the same for Gemini');
is($out->{toolConfig}{functionCallingConfig}{mode}, 'NONE', '... none of them');

my $body = to_json({ model => 'o', messages => \@round, %functions });
$up->reset;
$up->on('/*' => json('openai/chat'));
$gw->post('/v1/chat/completions', $body);
is(($up->received)[0]{body}, $body =~ s/"model":"o"/"model":"gpt"/r, 'spliced: byte for byte');

($r) = ask({ model => 'plain', messages => [ $round[0] ], %functions }, json('anthropic/messages'));
is($r->status, 400, 'a model without tools has no functions either');
($r) = ask({ model => 'a', messages => [ $round[2] ] }, json('anthropic/messages'));
is($r->status, 400, 'a result of no call');
is(from_json($r->body)->{error}{param}, 'messages', '... by name');

finish();
