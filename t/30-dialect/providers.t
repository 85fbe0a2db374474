# The ready-made files of conf.d/providers: each as it stands, but for the host,
# answers what its models are declared for, in the shapes of its own samples.

use lib 't/lib';
use Test::LLM;

sub slurp { my ($file) = @_; open my $fh, '<:raw', $file or die "$file: $!"; local $/; return scalar readline $fh }

# path of a chat, or of speech where there is none; header of the key; what it
# has itself beside chats
my %is = (
    anthropic  => [ '/v1/messages', 'x-api-key', 'messages' ],
    azure      => [ '/openai/v1/chat/completions', 'api-key', 'responses' ],
    cohere     => [ '/compatibility/v1/chat/completions', 'authorization' ],
    deepseek   => [ '/chat/completions', 'authorization', 'responses' ],
    gemini     => [ '/v1beta/models/ID:generateContent', 'x-goog-api-key' ],
    groq       => [ '/openai/v1/chat/completions', 'authorization', 'responses' ],
    llamacpp   => [ '/v1/chat/completions', undef, 'messages responses' ],
    lmstudio   => [ '/v1/chat/completions', undef, 'messages responses' ],
    mistral    => [ '/v1/chat/completions', 'authorization' ],
    ollama     => [ '/v1/chat/completions', undef, 'messages responses' ],
    openai     => [ '/v1/chat/completions', 'authorization', 'responses' ],
    openrouter => [ '/api/v1/chat/completions', 'authorization', 'messages responses' ],
    speaches   => [ '/v1/audio/transcriptions' ],
    together   => [ '/v1/chat/completions', 'authorization' ],
    vllm       => [ '/v1/chat/completions', undef, 'messages responses' ],
    whispercpp => [ '/inference' ],
    xai        => [ '/v1/chat/completions', 'authorization', 'responses' ],
);

# samples of its own, where there are some
my %own = (
    'anthropic chat' => 'anthropic/messages.response.json', 'anthropic stream' => 'anthropic/messages.stream.sse',
    'gemini chat' => 'gemini/generate.response.json', 'gemini stream' => 'gemini/stream.sse',
    'whispercpp hear' => 'whispercpp/inference.json.response.json',
    (map { ("$_ chat" => "$_/chat.response.json", "$_ stream" => "$_/chat.stream.sse") } qw(azure openai openrouter vllm llamacpp ollama)),
    'gemini hear' => 'gemini/generate.audio.response.json', 'openrouter hear' => 'openrouter/transcription.response.json',
    'groq stream' => 'groq/chat.stream.sse', (map { ("$_ hear" => "$_/transcription.response.json") } qw(groq speaches)),
);
my %any = (chat => 'openai/chat.response.json', stream => 'openai/chat.stream.sse', hear => 'openai/transcription.whisper.response.json',
           embed => 'openai/embeddings.response.json', messages => 'anthropic/messages.response.json', responses => 'openai/responses.response.json');

my @files = glob 'conf.d/providers/*.conf';
is_deeply([ map { m{(\w+)\.conf\z} } @files ], [ sort keys %is ], 'every file is known here');

my $told = slurp('docs/providers.md');
my $up = Test::LLM::Upstream->new;
my @hi = (messages => [ { role => 'user', content => 'Hi' } ]);
my $form = qq(--bound-7\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\nRIFF\r\n--bound-7\r\nContent-Disposition: form-data; name="model"\r\n\r\n%s\r\n--bound-7--\r\n);

for my $file (@files) {
    my ($name) = $file =~ m{(\w+)\.conf\z};
    my ($chat_path, $key_header, $has) = @{ $is{$name} };
    my $text = slurp($file);
    my ($env) = $text =~ /\benv:(\w+)/;

    like($told, qr{^\|[^\n]*\(\.\./conf\.d/providers/$name\.conf\)}m, "$name: docs/providers.md has it");
    $text =~ s{listen\s+8080;}{listen 127.0.0.1:%%PORT%%;} or fail("$name: listens on 8080");
    $text =~ s{^(\s+base_url\s+)https?://[^/\s;]+}{$1http://127.0.0.1:%%UP%%}m or fail("$name: has a base_url");
    $text =~ s{^resolver .*}{}m;

    my $gw = Test::LLM::Gateway->new(vars => { UP => $up->port }, env => $env ? { $env => 'sk-provider-000001' } : {}, conf => $text)->start;

    my $ask = sub {
        my ($kind, $model, $api) = @_;
        my $sample = $own{"$name $kind"} // $any{$kind};
        $up->reset;
        $up->on('/*' => $kind eq 'stream' ? [ [ 'sse-file', fixture($sample) ] ] : [ [ json => fixture_text($sample) ] ]);
        my $r = $kind eq 'hear' ? $gw->http(POST => '/v1/audio/transcriptions', { 'Content-Type' => 'multipart/form-data; boundary=bound-7' }, sprintf $form, $model)
              : $api ? $gw->post("/v1/$api", to_json({ model => $model, $api eq 'messages' ? (max_tokens => 99, @hi) : (input => 'Hi') }))
              : $kind eq 'embed' ? $gw->post('/v1/embeddings', to_json({ model => $model, input => 'x' }))
              : $gw->post('/v1/chat/completions', to_json({ model => $model, @hi, $kind eq 'stream' ? (stream => JSON::PP::true()) : () }));
        my ($q) = $up->received;
        is($r->status, 200, "$name: $model, " . ($api // $kind)) or diag $r->body;
        return ($r, $q);
    };

    while ($text =~ /^llm_model (\S+)\s*\{(.*?)\}/msg) {
        my ($model, $block) = ($1, $2);
        my %can = map { $_ => 1 } split ' ', ($block =~ /\bcan\s+([^;]+);/)[0];
        my $id = $block =~ /\bdeployment\s+([^;]+);/ || $block =~ /\bid\s+([^;]+);/ ? $1 : $model;

        if ($can{transcribe}) {
            my ($r, $q) = $ask->('hear', $model);
            ok(length $r->json->{text}, '... a text');
            is($q->{path}, $chat_path, '... path') if $name =~ /speaches|whispercpp/;
        }

        if ($can{chat}) {
            my ($r, $q) = $ask->('chat', $model);
            ok(length $r->json->{choices}[0]{message}{content}, '... a text');
            is($q->{path}, $chat_path =~ s/ID/$id/r, '... path');
            is($q->{h}{$key_header} // 'none', ($key_header eq 'authorization' ? 'Bearer ' : '') . 'sk-provider-000001', '... key') if $key_header;
            is(from_json($q->{body})->{model} // $id, $id, '... its name there');
            next unless $can{stream};

            ($r, $q) = $ask->('stream', $model);
            my @e = Test::LLM::Sse::events($r);
            ok(length Test::LLM::Sse::text(@e), '... a text, piece by piece');
            ok(Test::LLM::Sse::done(@e), '... to its end');
            my $asks_usage = $name !~ /anthropic|gemini|mistral|cohere/;
            is($q->{body} =~ /include_usage/ ? 1 : 0, $asks_usage ? 1 : 0, '... usage is ' . ($asks_usage ? '' : 'not ') . 'asked for');

            for my $api (qw(messages responses)) {
                my $native = ($has // '') =~ /$api/;
                ($r, $q) = $ask->($native ? $api : 'chat', $model, $api);
                is($q->{path}, $native ? $chat_path =~ s{/(?:chat/completions|messages)\z}{/$api}r : $chat_path =~ s/ID/$id/r, "... $api, " . ($native ? 'itself' : 'as a chat'));
                my ($member, $value) = $api eq 'messages' ? (type => 'message') : (object => 'response');
                is($r->json->{$member}, $value, '... in its form');
            }

        } elsif ($can{embed}) {
            my ($r) = $ask->('embed', $model);
            ok(@{ $r->json->{data}[0]{embedding} }, '... numbers');
        }
    }

    $gw->stop;
}

finish;
