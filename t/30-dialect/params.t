# set, default, drop and rename of providers and models: what a target gets,
# where the client's own bytes are sent, in forms, and where they are translated.

use lib 't/lib';
use Test::LLM;

my $up = Test::LLM::Upstream->new;
my $gw = Test::LLM::Gateway->new(vars => { UP => $up->port }, env => { KEY_A => 'sk-alpha-0001' },
    files => { 'prompt.schema.json' => '{"type":"object"}' }, conf => <<'EOC')->start;
    llm_zone t:4m;
    llm_provider o { dialect openai; base_url http://127.0.0.1:%%UP%%/v1; key env:KEY_A; breaker off;
        drop temperature; set user nurse; default seed 7; default max_tokens 100; }
    llm_provider plain { dialect openai; base_url http://127.0.0.1:%%UP%%/plain; breaker off; }
    llm_provider a { dialect anthropic; base_url http://127.0.0.1:%%UP%%/a; breaker off; default max_tokens 777; drop stop; }
    llm_provider g { dialect gemini; base_url http://127.0.0.1:%%UP%%/g; breaker off; }
    llm_model bare { provider plain; id m-1; }
    llm_model edited { provider plain; id m-1; rename max_tokens max_completion_tokens; drop temperature top_p;
        set chat_template_kwargs '{"enable_thinking":false}'; default metadata '{"a":"b"}'; set service_tier flex; }
    llm_model theirs { provider o; id m-1; }
    llm_model mine { provider o; id m-1; default temperature 0.5; drop user; set seed '"8"'; default max_tokens 200; }
    llm_model claude { provider a; id claude-sonnet-4-5; set temperature 0.25; rename limit max_tokens; drop metadata; }
    llm_model flash { provider g; id gemini-2.5-flash; set max_tokens 9; default dimensions 256; drop user; }
    llm_model ear { provider plain; id whisper; rename prompt hint; set language de; drop temperature; default response_format json;
        default chunk "a \"b\""; }
    llm_model gear { provider g; id gemini-2.5-flash; rename hint prompt; set language de; drop temperature chunk; }
    llm_route both { target edited; target bare; target claude; }
    llm_prompt rate { user "{text}"; set temperature 0.9; set top_p 0.3; answer text; }
    client_max_body_size 8m;
    server {
        listen 127.0.0.1:%%PORT%%;
        location /v1/ { llm_retry off; llm_pass $llm_model; }
        location /o/ { llm_pass o; }
        location = /rate { llm_analyze rate; llm_pass edited; }
        location = /rate-claude { llm_analyze rate; llm_pass claude; }
        location = /transcribe { llm_transcribe language=fa temperature=0 prompt=names; llm_pass ear; }
    }
EOC

my $true = JSON::PP::true();
my %answer = (
    '/v1/*'    => fixture_text('openai/chat.response.json'),
    '/plain/*' => fixture_text('openai/chat.response.json'),
    '/a/*'     => fixture_text('anthropic/messages.response.json'),
    '/g/*'     => fixture_text('gemini/generate.response.json'),
);

# sends a body to a path; (response, what went out, the same as JSON)
sub ask {
    my ($body, %o) = @_;
    $up->reset;
    $up->on($_ => $o{$_} // [ [ json => $answer{$_} ] ]) for sort keys %answer;
    my $r = $gw->http(POST => $o{path} // '/v1/chat/completions', $o{headers} // {}, ref $body ? to_json($body) : $body, %{ $o{how} // {} });
    my ($q) = $up->received;
    return ($r, $q->{body}, from_json($q->{body} // ''));
}

sub dropped { join ' ', sort split /, /, $_[0]->header('x-llm-dropped') // '' }

my @hi = (messages => [ { role => 'user', content => 'Hi' } ]);

# ---- the client's own bytes ------------------------------------------------------

my ($r, $sent, $out) = ask('{"model":"edited", "temperature": 1.50 ,"max_tokens":1e2,"x":[1.50,"\u0000\/"],"top_p":null,"messages":[{"role":"user","content":"Hi"}]}');
is($r->status, 200, 'served');
is($sent, '{"metadata":{"a":"b"},"chat_template_kwargs":{"enable_thinking":false},"service_tier":"flex","model":"m-1"'
    . ' ,"max_completion_tokens":1e2,"x":[1.50,"\u0000\/"],"messages":[{"role":"user","content":"Hi"}]}', 'nothing else is touched');
is(dropped($r), 'temperature', 'the client reads what was dropped, but null is nothing');

($r, $sent) = ask('{"model":"edited","max_tokens":5,"max_completion_tokens":6,"service_tier":"auto","metadata":null,"top\u005fp":1,"top_p":2,"messages":[]}');
is($sent, '{"chat_template_kwargs":{"enable_thinking":false},"model":"m-1","max_completion_tokens":6,"service_tier":"flex","metadata":{"a":"b"},"messages":[]}',
    'both names, null, a member twice');
is(dropped($r), 'top_p', '... told once');

my $odd = '{"model":"bare","temperature":1,"top_p":0.5}';
($r, $sent) = ask($odd);
is($sent, $odd =~ s/bare/m-1/r, 'a model without them: the same bytes');
is($r->header('x-llm-dropped'), undef, '... and no header');

($r, $sent, $out) = ask({ model => 'theirs', @hi, temperature => 1, user => 'me' });
is_deeply($out, { model => 'm-1', @hi, user => 'nurse', seed => 7, max_tokens => 100 }, "the provider's");
is(dropped($r), 'temperature', '... told');
($r, $sent, $out) = ask({ model => 'mine', @hi, user => 'me' });
is_deeply($out, { model => 'm-1', @hi, temperature => 0.5, seed => '8', max_tokens => 200 }, "the model has the last word about each of them");
is(dropped($r), 'user', '... told');
like($sent, qr/"seed":"8"/, 'a string that looks like a number');
($r, $sent, $out) = ask({ model => 'mine', @hi, temperature => 1, max_tokens => 3, seed => 1 });
is_deeply([ @$out{qw(temperature max_tokens seed)} ], [ 1, 3, '8' ], 'default and set');

($r, $sent, $out) = ask({ model => 'x', @hi, temperature => 1 }, path => '/o/chat/completions');
is_deeply($out, { model => 'x', @hi, user => 'nurse', seed => 7, max_tokens => 100 }, 'a provider alone');

($r, $sent, $out) = ask({ model => 'edited', @hi, stream => $true, temperature => 1 },
    '/plain/*' => [ [ 'sse-file', fixture('openai/chat.stream.sse') ] ]);
is_deeply($out, { model => 'm-1', @hi, stream => $true, stream_options => { include_usage => $true },
    chat_template_kwargs => { enable_thinking => JSON::PP::false() }, metadata => { a => 'b' }, service_tier => 'flex' }, 'a stream');
is(dropped($r), 'temperature', '... told in front of it');

my $long = '"messages":[{"role":"user","content":"' . 'word \n' x 50_000 . '"}]';
$up->reset;
$up->on('/plain/*' => [ [ json => $answer{'/plain/*'} ] ]);
$r = $gw->post('/v1/chat/completions', "{\"temperature\":1,$long,\"top_p\":1,\"model\":\"edited\"}");
($sent) = map { $_->{body} } $up->received;
ok($sent eq '{"metadata":{"a":"b"},"chat_template_kwargs":{"enable_thinking":false},"service_tier":"flex",' . $long . ',"model":"m-1"}', 'a body in a file');
is(dropped($r), 'temperature top_p', '... told');

# the next target has rules of its own
$up->reset;
$up->on('/plain/*' => [ [ status => 500 ], [ json => '{"error":{"message":"no"}}' ] ], [ [ json => $answer{'/plain/*'} ] ]);
$r = $gw->post('/v1/chat/completions', to_json({ model => 'both', @hi, temperature => 1, top_p => 0.5 }));
my @q = $up->received;
is_deeply([ map { from_json($_->{body})->{temperature} } @q ], [ undef, 1 ], 'a fallback gets what the client sent');
is($r->header('x-llm-dropped'), undef, '... and nothing was dropped there');

# what is no request to a model is left alone
($r, $sent) = ask('{"model":"theirs","input_file_id":"f","temperature":1}', path => '/v1/batches');
is($sent, '{"model":"m-1","input_file_id":"f","temperature":1}', 'batches');
($r, $sent) = ask('{"model":"claude","messages":[]}', path => '/v1/messages/count_tokens');
is($sent, '{"model":"claude-sonnet-4-5","messages":[]}', 'count_tokens');

# as many duplicates as anybody likes are an error of the client
($r) = ask('{"model":"edited",' . '"top_p":1,' x 200 . '"messages":[]}');
is($r->status, 400, 'hundreds of duplicates');
is($r->header('x-llm-error'), 'caller_duplicate_key', '... are the client\'s fault');
is($up->count, 0, '... and not sent');

# ---- forms -----------------------------------------------------------------------

# a form, whose file needs a name
sub upload {
    my @parts = @_;
    for (my $i = 0; $i < @parts; $i += 2) {
        $parts[$i + 1] = [ '; filename="a.wav"', $parts[$i + 1] ] if $parts[$i] eq 'file';
    }
    return (form(@parts))[1];
}

# [ name, value ] of each part
sub parts {
    my ($body, $boundary) = @_;
    return map { my ($head, $v) = split /\r\n\r\n/, $_, 2; defined $v && $head =~ /name="([^"]*)"/ ? [ $1, $v ] : () }
        split /(?:\A|\r\n)--\Q$boundary\E(?:--)?\r\n/, $body;
}

my %form = (path => '/v1/audio/transcriptions', headers => { 'Content-Type' => 'multipart/form-data; boundary=x-boundary-7' },
    '/plain/*' => [ [ json => '{"text":"hello"}' ] ]);
my $wav = fixture_text('audio/hello.wav');

($r, $sent) = ask(upload(model => 'ear', prompt => 'Names: A', temperature => 0.2, file => $wav, language => 'en'), %form);
is($r->status, 200, 'a form');
is_deeply([ parts($sent, 'x-boundary-7') ], [ [ response_format => 'json' ], [ chunk => 'a "b"' ], [ model => 'whisper' ], [ hint => 'Names: A' ], [ file => $wav ], [ language => 'de' ] ],
    'its fields are set, renamed, dropped, added') or diag explain [ map { [ $_->[0], substr $_->[1], 0, 40 ] } parts($sent, 'x-boundary-7') ];
is(dropped($r), 'temperature', '... and told');
($r, $sent) = ask(upload(model => 'ear', file => $wav) =~ s/x-boundary-7/b/gr, %form, headers => { 'Content-Type' => 'multipart/form-data; boundary=b' });
is($r->status, 200, 'a boundary whose letters stand in a value');
is_deeply([ map { $_->[1] } grep { $_->[0] eq 'chunk' } parts($sent, 'b') ], [ 'a "b"' ], '... which is set');
($r, $sent) = ask(upload(model => 'ear', file => $wav, response_format => 'verbose_json'), %form);
is_deeply([ map { $_->[0] } parts($sent, 'x-boundary-7') ], [ qw(chunk language model file response_format) ], 'what is there needs no default');

for my $raw (0, 1) {
    my $name = $raw ? 'the audio itself' : '/transcribe';
    ($r, $sent) = ask($raw ? $wav : upload(file => $wav), %form, path => '/transcribe', $raw ? (headers => { 'Content-Type' => 'audio/wav' }) : ());
    my ($b) = $sent =~ /\A--(\S+)\r\n/;
    is_deeply([ map { $_->[0] eq 'file' ? 'file' : "$_->[0]=$_->[1]" } parts($sent, $b) ],
        [ 'model=whisper', 'language=de', 'hint=names', 'response_format=json', 'chunk=a "b"', 'file' ],
        "$name: the location's fields first, then the model's") or diag $sent =~ s/[^ -~\r\n]//gr;
    is($r->json->{text}, 'hello', '... answered');
}

# an upload that is translated
my %json = (%form, '/g/*' => [ [ json => $answer{'/g/*'} ] ]);
($r, $sent, $out) = ask(upload(model => 'gear', hint => 'Names: A', temperature => 0.2, file => $wav, language => 'en'), %json);
is($r->status, 200, 'a form at Gemini');
my ($text) = map { $_->{text} // () } map { @{ $_->{parts} } } @{ $out->{contents} };
like($text, qr/\bde\b.*Names: A/s, '... is set and renamed');
is($out->{generationConfig}, undef, '... dropped');
is(dropped($r), 'temperature', '... and told');

# ---- application routes ------------------------------------------------------------

($r, $sent, $out) = ask('{"text":"Hi"}', path => '/rate');
is($r->status, 200, 'an application route');
is_deeply([ @$out{qw(temperature top_p service_tier)} ], [ undef, undef, 'flex' ], "the model's word after the prompt's");
is(dropped($r), 'temperature top_p', '... told');
($r, $sent, $out) = ask('{"text":"Hi"}', path => '/rate-claude');
is_deeply([ @$out{qw(temperature max_tokens)} ], [ 0.25, 777 ], '... and translated');

# ---- translated --------------------------------------------------------------------

($r, $sent, $out) = ask({ model => 'claude', @hi, temperature => 1, stop => 'x', metadata => { a => 'b' } });
is_deeply($out, { model => 'claude-sonnet-4-5', max_tokens => 777, temperature => 0.25,
    messages => [ { role => 'user', content => [ { type => 'text', text => 'Hi' } ] } ] }, 'chat at Anthropic');
is(dropped($r), 'metadata stop', '... told');
($r, $sent, $out) = ask({ model => 'claude', @hi, limit => 5 });
is($out->{max_tokens}, 5, 'a name of the client alone');
($r, $sent, $out) = ask({ model => 'claude', @hi, max_completion_tokens => 6 });
is($out->{max_tokens}, 6, 'both names of the limit are one');
($r, $sent, $out) = ask({ model => 'flash', @hi, max_completion_tokens => 600, user => 'me' });
is($out->{generationConfig}{maxOutputTokens}, 9, 'chat at Gemini');
is(dropped($r), 'user', '... told');
($r, $sent, $out) = ask({ model => 'flash', input => 'x', user => 'me' }, path => '/v1/embeddings',
    '/g/*' => [ [ json => '{"embeddings":[{"values":[0.5]}]}' ] ]);
is($r->status, 200, 'embeddings');
is($out->{requests}[0]{outputDimensionality}, 256, '... with a default');

my @message = (max_tokens => 64, @hi);
($r, $sent, $out) = ask({ model => 'edited', @message, temperature => 1 }, path => '/v1/messages');
is($r->json->{type}, 'message', 'Messages at OpenAI');
is_deeply([ @$out{qw(max_tokens max_completion_tokens temperature service_tier)} ], [ undef, 64, undef, 'flex' ], '... as OpenAI spells them');
is_deeply($out->{chat_template_kwargs}, { enable_thinking => JSON::PP::false() }, '... what the hub does not know as well');
is(dropped($r), 'temperature', '... told');
($r, $sent, $out) = ask({ model => 'flash', @message }, path => '/v1/messages');
is($out->{generationConfig}{maxOutputTokens}, 9, 'Messages at Gemini');
($r, $sent) = ask('{"model":"claude","messages":[],"limit":3,"temperature":1}', path => '/v1/messages');
is($sent, '{"model":"claude-sonnet-4-5","messages":[],"max_tokens":3,"temperature":0.25}', "Messages at Anthropic: the client's own bytes");

finish();
