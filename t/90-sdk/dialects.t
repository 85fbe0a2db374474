# Official clients, unchanged but for the base URL, in front of each dialect of
# providers.

use lib 't/lib';
use Test::LLM;
use FindBin ();

my $dir = "$FindBin::Bin/../../build/sdk";
plan skip_all => 'the client packages are not installed (build/sdk)'
    unless -d "$dir/node_modules/\@anthropic-ai/sdk" && -d "$dir/node_modules/ai";

my $up = Test::LLM::Upstream->new;

# the ai package takes no null for citations
sub json { [ [ json => fixture_text($_[0]) =~ s/,\s*"citations":\s*null//gr ] ] }
sub sse { [ [ slice => '200 1' ], [ 'sse-file', fixture($_[0]) ] ] }

# what each kind of provider says to a model of that name
my %says = (
    o => {
        text => [ json('openai/chat.response.json') ],
        image => [ json('openai/chat.response.json') ],
        json => [ json('openai/chat.json-schema.response.json') ],
        stream => [ ok_stream([ 'One', ', two', ', three.' ], usage => { prompt_tokens => 9, completion_tokens => 6, total_tokens => 15 }) ],
        tools => [ map { (json('openai/chat.tools.response.json'), json('openai/chat.response.json')) } 1 .. 12 ],
        toolstream => [ sse('openai/chat.stream.tools.sse') ],
        fails => [ [ [ begin => '' ], [ chunk => qq(data: {"id":"c","model":"m","choices":[{"index":0,"delta":{"content":"Hi"}}]}\n\n) ], [ pause => 200 ],
            [ chunk => qq(data: {"error":{"message":"No.","type":"server_error"}}\n\n) ], [ end => '' ] ] ],
        busy => [ [ [ 'http-file', fixture('openai/error.503-overloaded.http') ] ] ],
        limited => [ reply(429, { 'Retry-After' => 1 }, '{"error":{"message":"Rate limit reached","type":"requests","code":"rate_limit_exceeded"}}') ],
        bad => [ reply(400, {}, '{"error":{"message":"bad","type":"invalid_request_error","param":null,"code":null}}') ],
    },
    a => {
        text => [ json('anthropic/messages.response.json') ],
        image => [ json('anthropic/messages.response.json') ],
        json => [ json('anthropic/messages.json-schema.response.json') ],
        'claude-3-5-haiku' => [ json('anthropic/messages.json-schema.response.json') ],
        count => [ json('anthropic/count-tokens.response.json') ],
        stream => [ sse('anthropic/messages.stream.sse') ],
        tools => [ map { (json('anthropic/messages.tools.response.json'), json('anthropic/messages.response.json')) } 1 .. 12 ],
        toolstream => [ sse('anthropic/messages.stream.tools.sse') ],
        fails => [ [ [ begin => '' ], [ chunk => join '', map { "event: $_->[0]\ndata: {\"type\":\"$_->[0]\",$_->[1]}\n\n" }
            [ message_start => '"message":{"id":"m","type":"message","role":"assistant","model":"m","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":1,"output_tokens":1}}' ],
            [ content_block_start => '"index":0,"content_block":{"type":"text","text":""}' ], [ content_block_delta => '"index":0,"delta":{"type":"text_delta","text":"Hi"}' ] ],
            [ pause => 200 ], [ chunk => qq(event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"Busy"}}\n\n) ], [ end => '' ] ] ],
        busy => [ [ [ 'http-file', fixture('anthropic/error.529.http') ] ] ],
        limited => [ reply(429, { 'Retry-After' => 1 }, '{"type":"error","error":{"type":"rate_limit_error","message":"Slow down"}}') ],
        bad => [ reply(400, {}, '{"type":"error","error":{"type":"invalid_request_error","message":"bad"}}') ],
    },
);
$says{g} = {
    text => [ json('gemini/generate.response.json') ],
    image => [ json('gemini/generate.response.json') ],
    json => [ json('gemini/generate.json-schema.response.json') ],
    stream => [ sse('gemini/stream.sse') ],
    tools => [ map { (json('gemini/generate.tools.response.json'), json('gemini/generate.response.json')) } 1 .. 12 ],
    toolstream => [ sse('gemini/stream.tools.sse') ],
    fails => [ [ [ begin => '' ], [ chunk => qq(data: {"candidates":[{"index":0,"content":{"role":"model","parts":[{"text":"Hi"}]}}],"modelVersion":"g","responseId":"r"}\n\n) ],
        [ pause => 200 ], [ chunk => qq(data: {"error":{"code":503,"message":"Busy","status":"UNAVAILABLE"}}\n\n) ], [ end => '' ] ] ],
    busy => [ [ [ 'http-file', fixture('gemini/error.503.http') ] ] ],
    limited => [ [ [ 'http-file', fixture('gemini/error.429-minute.http') ] ] ],
    bad => [ [ [ 'http-file', fixture('gemini/error.400-invalid.http') ] ] ],
};
$says{$_}{count} = $says{$_}{text} for qw(o g);
# long enough for a heartbeat, which no client may mind
unshift @{ $says{$_}{stream}[0] }, [ pause => 220 ] for keys %says;
$says{$_}{parsed} = [ $says{$_}{tools}[0] ] for keys %says;

for my $d (keys %says) {
    $up->on($d eq 'g' ? { path => "/g/v1beta/models/$_:*" } : { path => "/$d/*", model => $_ } => @{ $says{$d}{$_} }) for keys %{ $says{$d} };
}

my $models = join '', map { my $d = $_; map { "    llm_model $d-$_ { provider $d; id $_; }\n" } sort keys %{ $says{$d} } } sort keys %says;

my $gw = Test::LLM::Gateway->new(vars => { UP => $up->port }, env => { KEY_A => 'sk-alpha-00001' }, conf => <<"EOC")->start;
    llm_zone t:16m;
    llm_key_pool k { key env:KEY_A; cooldown off; }
    llm_provider o { dialect openai; base_url http://127.0.0.1:%%UP%%/o/v1; keys k; breaker off; native off; }
    llm_provider a { dialect anthropic; base_url http://127.0.0.1:%%UP%%/a; keys k; breaker off; }
    llm_provider g { dialect gemini; base_url http://127.0.0.1:%%UP%%/g; keys k; breaker off; }
    llm_provider m { dialect mock; }
    llm_provider n { dialect mock; native off; }
    llm_model mock { provider m; id mock; }
    llm_model mockchat { provider n; id mock; }
$models
    server {
        listen 127.0.0.1:%%PORT%%;
        llm_retry off;
        llm_heartbeat 100ms;
        location /v1/ { llm_pass \$llm_model; }
        location /openai/ { llm_pass \$llm_model; }
    }
EOC

$ENV{LLM_SDK} = $dir;
$ENV{DIALECTS} = 'o a g';
$ENV{BASE} = 'http://127.0.0.1:' . $gw->port . '/v1';

for my $script ('anthropic.cjs', 'dialects.cjs', 'responses.cjs') {
    my $ended = 0;
    open my $out, '-|', 'node', "$FindBin::Bin/$script" or die "node: $!";
    while (my $line = <$out>) {
        my $c = eval { from_json($line) } or do { diag $line; next };
        $c->{end} and do { $ended = 1; next };
        ok($c->{ok}, "$script $c->{name}") or diag explain $c->{detail};
    }
    close $out;
    ok($ended, "$script came to its end");
}

my ($told) = grep { $_->{body} =~ /claude-3-5-haiku/ } $up->received;
my $asked = from_json($told->{body});
is($asked->{output_config}, undef, 'an older Claude has no structured outputs');
like($asked->{system}[0]{text}, qr/valid against the schema.*"sentiment"/s, '... and is told the schema');

finish();
