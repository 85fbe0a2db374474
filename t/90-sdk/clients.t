# Official clients, unchanged but for the base URL.

use lib 't/lib';
use Test::LLM;
use FindBin ();

my $dir = "$FindBin::Bin/../../build/sdk";
plan skip_all => 'the client packages are not installed (build/sdk)'
    unless -d "$dir/node_modules/openai" && -d "$dir/node_modules/groq-sdk";

my $up = Test::LLM::Upstream->new;
my $silent = silent_port();
sub http { [ [ 'http-file', fixture($_[0]) ] ] }
sub json { my ($f, @steps) = @_; return [ @steps, [ json => fixture_text($f) ] ] }
sub sse { my ($f, $slice) = @_; return [ [ slice => $slice || '200 1' ], [ 'sse-file', fixture($f) ] ] }

my %models = (
    chat => json('openai/chat.response.json'),
    stream => ok_stream([ 'One', ', two', ', three.' ], usage => { prompt_tokens => 9, completion_tokens => 6, total_tokens => 15 }),
    utf8 => sse('openai/chat.stream.utf8.sse', '7 0'),
    tools => json('openai/chat.tools.response.json'),
    'tools-stream' => sse('openai/chat.stream.tools.sse', '31 0'),
    responses => json('openai/responses.response.json'),
    'responses-stream' => sse('openai/responses.stream.sse'),
    speech => [ [ json => '{"text":"Hello gateway, this is a test."}' ] ],
    'speech-srt' => [ [ header => 'Content-Type: text/plain; charset=utf-8' ], [ 'body-file', fixture('openai/transcription.srt.response.srt') ] ],
    embed => json('openai/embeddings.base64.response.json'),
    'embed-float' => json('openai/embeddings.response.json'),
    'groq-stream' => sse('groq/chat.stream.sse'),
    limited => reply(429, { 'Retry-After' => 90 }, '{"error":{"message":"Rate limit reached","type":"requests","code":"rate_limit_exceeded"}}'),
    quota => http('openai/error.429-quota-credit.http'),
    ourkey => reply(401, {}, '{"error":{"message":"Incorrect API key provided: {{key}}","type":"invalid_request_error","code":"invalid_api_key"}}'),
    bad => reply(400, {}, '{"error":{"message":"bad temperature","type":"invalid_request_error","param":"temperature","code":null}}'),
    long => http('openai/error.400-context-length.http'),
    invalid => http('speaches/error.422.http'),
    html => http('openai/error.502-html.http'),
    busy => http('openai/error.503-overloaded.http'),
    silent => 'hang',
    cut => [ @{ sse('openai/chat.stream.cut.sse') }, 'fin' ],
    endless => ok_stream([ map { ("word$_ ", [ pause => 20 ]) } 1 .. 500 ]),
    hang => 'hang',
    hidden => json('openai/chat.response.json'),
);
$up->on({ path => "/$_/*" } => $models{$_}) for keys %models;

my $gw = Test::LLM::Gateway->new(vars => { UP => $up->port, SILENT => $silent }, env => { KEY_A => 'sk-alpha-00001' }, conf => <<"EOC")->start;
    llm_zone t:16m;
    llm_key_pool k { key env:KEY_A; cooldown off; }
    llm_provider up { dialect openai; base_url http://127.0.0.1:%%UP%%/chat; breaker off; }
    llm_provider gone { dialect openai; base_url http://127.0.0.1:%%SILENT%%/v1; breaker off; }
    llm_model down { provider gone; id down; }
    llm_model chat { provider up; id chat; }
    @{[ map { my $internal = $_ eq 'hidden' ? 'internal;' : '';
              "llm_provider p-$_ { dialect openai; base_url http://127.0.0.1:%%UP%%/$_; keys k; breaker off; timeout total=1s; }\n"
              . "llm_model $_ { provider p-$_; id $_; $internal }\n" } grep { $_ ne 'chat' } sort keys %models ]}
    server {
        listen 127.0.0.1:%%PORT%%;
        llm_retry off;
        location /v1/ { llm_pass \$llm_model; }
        location /openai/v1/ { llm_pass \$llm_model; }
        location /denied/ { deny all; llm_pass \$llm_model; }
    }
EOC
$gw->{env}{KEY_A} = 'sk-alpha-00001';

my $utf8 = Test::LLM::Sse::text(Test::LLM::Sse::events(fixture_text('openai/chat.stream.utf8.sse')));
utf8::encode($utf8);
my %env = (LLM_SDK => $dir, BASE => 'http://127.0.0.1:' . $gw->port, FIXTURES => fixture(''), SILENT => $silent, UTF8_TEXT => $utf8);

for my $client (qw(openai groq)) {
    local @ENV{ keys %env } = values %env;
    open my $run, '-|', 'node', "$FindBin::Bin/$client.cjs" or die "node: $!";
    my $end;
    while (my $line = <$run>) {
        my $check = from_json($line) or next;
        $end = 1, next if $check->{end};
        ok($check->{ok}, "$client: $check->{name}") or diag to_json($check->{detail});
    }
    close $run;
    ok($end, "$client: ran to its end");
}

# what the clients did on their own
for my $model (qw(limited quota ourkey bad long invalid html busy)) {
    my $n = $up->count("/$model/*");
    cmp_ok($n, '<=', 2, "$model: x-should-retry keeps the clients from asking again ($n sends by two clients)");
}
ok(wait_for(sub { !grep { !$_->{closed} } map { my $q = $_; grep { $_->{id} == $q->{conn} } $up->connections } $up->received('/endless/*') }, 5),
   'aborted streams close the provider\'s connection');

finish();
