# Speech to text: uploads as applications send them, fields per target, any
# size, and answers in the form the client asked for.

use lib 't/lib';
use Test::LLM;
use Digest::SHA qw(sha256_hex);

my $up = Test::LLM::Upstream->new;
my $gw = Test::LLM::Gateway->new(vars => { UP => $up->port }, env => { KEY_A => 'sk-alpha-00001' },
    conf => <<'EOC')->start;
    llm_zone t:4m;
    client_max_body_size 100m;
    log_format llm '$request_id|$llm_audio_seconds|$llm_cost|$llm_attempts|$llm_error';
    access_log %%DIR%%/llm.log llm;
    llm_provider a { dialect openai; base_url http://127.0.0.1:%%UP%%/a/v1; key env:KEY_A; breaker off; }
    llm_provider b { dialect openai; base_url http://127.0.0.1:%%UP%%/b/v1; breaker off; }
    llm_model turbo { provider a; id whisper-turbo; can transcribe translate; price audio=0.006; }
    llm_model local { provider b; id large-v3; can transcribe; }
    server {
        listen 127.0.0.1:%%PORT%%;
        add_header X-Id $request_id always;
        llm_retry 2 backoff=1ms..2ms;
        location = /transcribe { llm_transcribe language=fa temperature=0; llm_pass turbo local; }
        location = /plain      { llm_transcribe; llm_pass turbo; }
        location /v1/          { llm_pass $llm_model; }
    }
EOC

my $wav = do { local $/; open my $f, '<:raw', fixture('audio/hello.wav') or die $!; <$f> };

sub file { my ($data, $name) = @_; [ "; filename=\"" . ($name // 'a.wav') . "\"\r\nContent-Type: audio/wav", $data ] }

# the parts of a request, in order: [ name, value ]
sub parts {
    my ($q) = @_;
    my ($b) = $q->{h}{'content-type'} =~ /boundary="?([^";]+)/ or return;
    my @p;
    for my $part (split /\r?\n?--\Q$b\E(?:\r\n|--)/, $q->{body}) {
        my ($head, $data) = split /\r\n\r\n/, $part, 2;
        next unless defined $data;
        my ($name) = $head =~ /name="([^"]*)"/;
        push @p, [ $name, $data ];
    }
    return @p;
}
sub logged { my ($r) = @_; my $id = $r->header('x-id'); return split /\|/, wait_for(sub { (grep { /^\Q$id\E\|/ } split /\n/, $gw->access('llm.log'))[0] }) // '' }
sub field { my ($q, $name) = @_; my @v = map { $_->[1] } grep { $_->[0] eq $name } parts($q); return @v > 1 ? \@v : $v[0] }
sub upload {
    my ($path, $type, $body, %o) = @_;
    return $gw->http(POST => $path, { 'Content-Type' => $type, %{ $o{headers} || {} } }, $body, timeout => 30);
}

$up->on('/a/*' => [ [ json => '{"text":"Hello gateway, this is a test."}' ] ]);
$up->on('/b/*' => [ [ json => '{"text":"from b"}' ] ]);

# ---- as applications send it ----------------------------------------------------------

my $r = upload('/transcribe', form(file => file($wav), model => 'whatever', prompt => 'Names: Ada', response_format => 'json'));
is($r->status, 200, 'answered');
is($r->json->{text}, 'Hello gateway, this is a test.', 'with the text');
my ($q) = $up->received;
is($q->{path}, '/a/v1/audio/transcriptions', 'path');
is(field($q, 'model'), 'whisper-turbo', 'model of the target');
is(field($q, 'language'), 'fa', 'language added');
is(field($q, 'temperature'), '0', 'temperature added');
is(field($q, 'prompt'), 'Names: Ada', 'other fields kept');
is(field($q, 'response_format'), 'json', 'response_format kept');
is(field($q, 'file'), $wav, 'the audio, byte for byte');
is($q->{h}{'content-length'}, $q->{len}, 'length fits');
like((grep { /filename/ } $q->{body})[0], qr/filename="a\.wav"/, 'file name kept');

upload('/transcribe', form(language => 'en', file => file($wav)));
$q = ($up->received)[-1];
is(field($q, 'language'), 'fa', 'a field the location sets replaces the client\'s');

upload('/plain', form(file => file($wav), 'timestamp_granularities[]' => 'word', 'timestamp_granularities[]' => 'segment'));
$q = ($up->received)[-1];
is_deeply(field($q, 'timestamp_granularities[]'), [ 'word', 'segment' ], 'repeated fields kept');
is(field($q, 'language'), undef, 'nothing set, nothing added');

# complete requests of the fixtures
for my $f (qw(openai/transcription.request.http openai/transcription.file-first.request.http app/transcribe.request.http)) {
    my ($head, $body) = split /\r\n\r\n/, fixture_text($f), 2;
    my ($type) = $head =~ /^content-type:\s*(.+?)\r?$/mi;
    my $r = upload('/transcribe', $type, $body);
    is($r->status, 200, $f) or diag $r->body;
    is(field(($up->received)[-1], 'model'), 'whisper-turbo', '... model');
}
for my $f (qw(empty-file no-file unterminated)) {
    my ($head, $body) = split /\r\n\r\n/, fixture_text("app/transcribe.$f.request.http"), 2;
    my ($type) = $head =~ /^content-type:\s*(.+?)\r?$/mi;
    my $n = $up->count;
    my $r = upload('/transcribe', $type, $body);
    is($r->status, 400, "$f: refused");
    like($r->header('x-llm-error'), qr/^caller_(?:empty_audio|bad_multipart|missing_member)$/, '... x-llm-error');
    is($up->count, $n, '... and not sent');
}

# the raw audio as body
for my $type ([ 'audio/wav', 'hello.wav' ], [ 'audio/mpeg', 'hello.mp3' ], [ 'audio/flac', 'hello.flac' ], [ 'audio/ogg', 'hello.ogg' ]) {
    my $audio = do { local $/; open my $f, '<:raw', fixture("audio/$type->[1]") or die $!; <$f> };
    my $r = upload('/transcribe', $type->[0], $audio);
    is($r->status, 200, "raw $type->[0]") or diag $r->body;
    my $q = ($up->received)[-1];
    is(field($q, 'file'), $audio, '... the audio, byte for byte');
    my ($ext) = $type->[1] =~ /(\.\w+)$/;
    like($q->{body}, qr/filename="[^"]*\Q$ext\E"/, '... with a name that says what it is');
    is(field($q, 'language'), 'fa', '... language');
}
is(upload('/transcribe', 'audio/wav', '')->status, 400, 'raw audio without a byte');
is(upload('/transcribe', 'text/plain', 'hello')->status, 415, 'text is no audio');

# ---- answers ------------------------------------------------------------------------

my %answers = (
    text => [ 'text/plain; charset=utf-8', 'openai/transcription.text.response.txt' ],
    srt => [ 'text/plain; charset=utf-8', 'openai/transcription.srt.response.srt' ],
    vtt => [ 'text/vtt; charset=utf-8', 'openai/transcription.vtt.response.vtt' ],
    verbose_json => [ 'application/json', 'openai/transcription.verbose.response.json' ],
);
for my $format (sort keys %answers) {
    my ($type, $file) = @{ $answers{$format} };
    $up->on('/a/*' => [ [ header => "Content-Type: $type" ], [ 'body-file', fixture($file) ] ]);
    my $r = upload('/transcribe', form(file => file($wav), response_format => $format));
    is($r->status, 200, "response_format=$format");
    is($r->body, fixture_text($file), '... as the provider wrote it');
    like($r->header('content-type'), qr{^\Q$type\E|^text/}, '... with its type') if $format ne 'verbose_json';
    is(field(($up->received)[-1], 'response_format'), $format, '... asked for');
}

# usage: seconds from the answer
$up->on('/a/*' => [ [ json => fixture_text('openai/transcription.whisper.response.json') ] ]);
my $counted = upload('/plain', form(file => file($wav)));
my $want = from_json(fixture_text('openai/transcription.whisper.response.json'))->{usage}{seconds};
my @f = logged($counted);
is($f[1] + 0, $want, '$llm_audio_seconds as the provider counted');
cmp_ok($f[2], '>', 0, '... and its price');
$up->on('/a/*' => [ [ json => '{"text":"no usage"}' ] ]);
@f = logged(upload('/plain', form(file => file($wav))));
like($f[1], qr/^1\.[6-9]|^2/, 'without usage: by the length of the file') or diag $f[1];

# translation, and the streamed form
$up->on('/a/v1/audio/translations' => [ [ json => fixture_text('openai/translation.response.json') ] ]);
$r = upload('/v1/audio/translations', form(file => file($wav), model => 'turbo'));
is_deeply($r->json, from_json(fixture_text('openai/translation.response.json')), '/v1/audio/translations');
$up->on('/a/*' => [ [ slice => '9 0' ], [ 'sse-file', fixture('openai/transcription.stream.sse') ] ]);
$r = upload('/v1/audio/transcriptions', form(model => 'turbo', stream => 'true', file => file($wav)));
is($r->body, fixture_text('openai/transcription.stream.sse'), 'a transcription stream');

# ---- any size, over two attempts ------------------------------------------------------

my $block = join '', map { chr(($_ * 167) & 255) } 1 .. 65_500;
my $audio = "RIFF\0\0\0\0WAVE" . join '', map { pack('N', $_) . $block } 1 .. 400;
$up->reset;
$up->on('/a/*' => reply(503, {}, '{"error":{"message":"busy"}}'));
$up->on('/b/*' => [ [ json => '{"text":"long"}' ] ]);
my ($type, $body) = form(model => 'x', file => file($audio), prompt => 'after the file');
my $rss = worker_peak();
$r = upload('/transcribe', $type, $body);
is($r->status, 200, 'an upload of 25 MB');
is($r->header('x-llm-provider'), 'b', '... answered by the second target');
my @sent = $up->received;
cmp_ok(scalar @sent, '>=', 2, '... after an attempt at the first');
for my $q ($sent[0], $sent[-1]) {
    my $model = $q->{path} =~ m{^/a/} ? 'whisper-turbo' : 'large-v3';
    my $expect = expected_form($q, $model);
    is($q->{sha256}, $expect, "... the same bytes for $model") or diag "$q->{len} bytes";
}
cmp_ok(worker_peak() - $rss, '<', 12_000, '... in constant memory (kB)');

sub worker_peak {
    my ($pid) = $gw->workers;
    open my $fh, '<', "/proc/$pid/status" or die $!;
    my ($peak) = map { /^VmHWM:\s+(\d+)/ } <$fh>;
    # a mapped body counts while it is mapped; what matters is anonymous memory
    open $fh, '<', "/proc/$pid/status" or die $!;
    my ($anon) = map { /^RssAnon:\s+(\d+)/ } <$fh>;
    return $anon;
}

# the digest of the form as it must arrive: same boundary, model replaced, the
# location's fields in front; their order is learnt from a small upload
sub expected_form {
    my ($q, $model) = @_;
    my ($t, $small) = form(model => 'x', file => file('SMALL-FILE'), prompt => 'after the file');
    $up->reset;
    $up->on('/*' => [ [ json => '{"text":"s"}' ] ]);
    my $name = $model eq 'large-v3' ? 'local' : 'turbo';
    if ($name eq 'local') {
        $up->on('/a/*' => reply(500, {}, '{}'));
    }
    upload('/transcribe', $t, $small);
    my $seen = ($up->received)[-1]{body};
    $seen =~ s/SMALL-FILE/$audio/;
    return sha256_hex($seen);
}

finish();
