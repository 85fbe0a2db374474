# Speech by whisper.cpp's own server: OpenAI's endpoints and /transcribe in front
# of /inference, the same bytes with a few edits, answers as OpenAI gives them.

use lib 't/lib';
use Test::LLM;

my $up = Test::LLM::Upstream->new;
my $gw = Test::LLM::Gateway->new(vars => { UP => $up->port }, env => { KEY_A => 'sk-alpha-00001' }, conf => <<'EOC')->start;
    llm_zone t:4m;
    client_max_body_size 100m;
    log_format llm '$request_id|$llm_audio_seconds|$llm_status_class';
    access_log %%DIR%%/llm.log llm;
    llm_provider w { dialect whispercpp; base_url http://127.0.0.1:%%UP%%/w; breaker off; }
    llm_provider guarded { dialect whispercpp; base_url http://127.0.0.1:%%UP%%/guarded/; key env:KEY_A; breaker off; }
    llm_provider b { dialect openai; base_url http://127.0.0.1:%%UP%%/b/v1; breaker off; }
    llm_model here { provider w; id large-v3; can transcribe translate; }
    llm_model behind-proxy { provider guarded; }
    llm_model there { provider b; id whisper-1; }
    llm_route both { target here; target there; }
    server {
        listen 127.0.0.1:%%PORT%%;
        add_header X-Id $request_id always;
        llm_retry off;
        location = /transcribe { llm_transcribe language=fa temperature=0; llm_pass here; }
        location = /plain      { llm_transcribe; llm_pass here there; }
        location /again/       { llm_retry 1 backoff=1ms..2ms; llm_pass here; }
        location /v1/          { llm_pass $llm_model; }
        location /raw/         { llm_endpoint passthrough; llm_pass w; }
    }
EOC

# half a second, 8 kHz: the harness is slow with larger bodies
my $wav = "RIFF\0\0\0\0WAVEfmt \x10\0\0\0\1\0\1\0\x40\x1f\0\0\x40\x1f\0\0\1\0\x08\0data\xa0\x0f\0\0" . "\r\n--b" x 800;

sub upload {
    my (@parts) = @_;
    my $body = '';
    while (my ($name, $v) = splice @parts, 0, 2) {
        my $file = $name eq 'file' ? qq(; filename="a.wav"\r\nContent-Type: audio/wav) : '';
        $body .= qq(--bb\r\nContent-Disposition: form-data; name="$name"$file\r\n\r\n$v\r\n);
    }
    return "$body--bb--\r\n";
}

# the fields of a form that arrived, but the file, as "name=value"
sub fields {
    my ($q) = @_;
    my ($b) = $q->{h}{'content-type'} =~ /boundary="?([^";]+)/ or return 'no form';
    my @f;
    for my $part (split /\r?\n?--\Q$b\E(?:\r\n|--)/, $q->{body}) {
        my ($head, $data) = split /\r\n\r\n/, $part, 2;
        next unless defined $data;
        my ($name) = $head =~ /name="([^"]*)"/;
        push @f, $name eq 'file' ? ($data eq $wav ? 'file' : 'another file') : "$name=$data";
    }
    return join ' ', sort @f;
}

sub raw { [ [ 'http-file', fixture("whispercpp/$_[0]") ] ] }
sub json { [ [ json => $_[0] ] ] }

# one upload, one answer: (response, what went out)
sub send_to {
    my ($path, $body, $script, %o) = @_;
    $up->reset;
    $up->on('/*' => $script // json(fixture_text('whispercpp/inference.json.response.json')));
    my $r = $gw->http(POST => $path, { 'Content-Type' => $o{type} // 'multipart/form-data; boundary=bb' }, $body);
    my ($q) = $up->received;
    return ($r, $q);
}
my $hear = '/v1/audio/transcriptions';
my $text = 'Hello gateway, this is a test.';

# ---- requests -------------------------------------------------------------------

my ($r, $q) = send_to($hear, upload(model => 'here', file => $wav));
is($r->status, 200, 'answered');
is_deeply($r->json, { text => $text }, 'one line, without the space in front');
is($q->{path}, '/w/inference', 'path');
is(fields($q), 'file language=auto', 'no model; the language is listened for');
is($q->{h}{'content-length'}, $q->{len}, 'length fits');
is($q->{h}{authorization}, undef, 'no key');
my ($id) = $r->header('x-id');
my @f = split /\|/, wait_for(sub { (grep { /^\Q$id\E\|/ } split /\n/, $gw->access('llm.log'))[0] });
is($f[1], '1.000', '$llm_audio_seconds by the length of the file, a second at least');

for my $t (
    [ [ file => $wav, model => 'here', language => 'de', prompt => 'Ada', temperature => '0.2', response_format => 'json', beam_size => 5 ],
      'beam_size=5 file language=de prompt=Ada response_format=json temperature=0.2', 'fields of its own and of OpenAI\'s pass' ],
    [ [ model => 'here', language => '', temperature => ' ', file => $wav ], 'file language=auto', 'empty ones say nothing' ],
    [ [ model => 'here', file => $wav, 'timestamp_granularities[]' => 'word', 'timestamp_granularities[]' => 'segment', response_format => 'verbose_json' ],
      'file language=auto response_format=verbose_json timestamp_granularities[]=segment timestamp_granularities[]=word', 'unknown ones do no harm' ],
) {
    ($r, $q) = send_to($hear, upload(@{ $t->[0] }));
    is($r->status, 200, "$t->[2]: served");
    is(fields($q), $t->[1], '... what is sent');
    is($r->header('x-llm-dropped'), undef, '... nothing was lost');
}
($r, $q) = send_to($hear, upload(model => 'here', file => $wav, stream => 'true', 'include[]' => 'logprobs', chunking_strategy => 'auto', 'known_speaker_names[]' => 'Ada'));
is($r->header('x-llm-dropped'), 'chunking_strategy, include[], known_speaker_names[], stream', 'what it has no words for');
is_deeply($r->json, { text => $text }, '... answered in one piece');

($r, $q) = send_to('/v1/audio/translations', upload(model => 'here', file => $wav));
is($q->{path}, '/w/inference', 'a translation: path');
is(fields($q), 'file language=auto translate=true', '... and its field');
($r, $q) = send_to($hear, upload(model => 'behind-proxy', file => $wav));
is($q->{path}, '/guarded/inference', 'behind a proxy');
is($q->{h}{authorization}, 'Bearer sk-alpha-00001', '... with a key');

($r, $q) = send_to('/transcribe', upload(file => $wav, model => 'x', language => 'en', prompt => 'Ada'));
is(fields($q), 'file language=fa prompt=Ada temperature=0', '/transcribe: its fields');
is_deeply($r->json, { text => $text }, '... answered');
($r, $q) = send_to('/transcribe', upload(file => $wav, language => '', temperature => ''));
is(fields($q), 'file language=fa temperature=0', '... whatever the client left empty');
($r, $q) = send_to('/transcribe', $wav, undef, type => 'audio/wav');
is(fields($q), 'file language=fa temperature=0', '... also for the audio itself');
($r, $q) = send_to('/plain', $wav, undef, type => 'audio/wav');
is(fields($q), 'file language=auto', '... and without fields');

# what it cannot be asked for: another target, or a 400
for my $t ([ response_format => 'diarized_json' ], [ url => 'https://example.com/a.wav' ]) {
    my @parts = $t->[0] eq 'url' ? @$t : (@$t, file => $wav);
    ($r, $q) = send_to($hear, upload(model => 'here', @parts));
    is($r->status, 400, "$t->[0]=$t->[1]: refused");
    is($r->header('x-llm-error'), 'caller_unsupported', '... as unsupported');
    is($q, undef, '... and not sent');
    ($r, $q) = send_to($hear, upload(model => 'both', @parts), json('{"text":"there"}'));
    is($q->{path}, '/b/v1/audio/transcriptions', '... the next target is asked');
}
($r, $q) = send_to($hear, upload(model => 'here', file => $wav, temperature => 'warm'));
is($r->status, 400, 'no number');
is($r->json->{error}{param}, 'temperature', '... by name');
for my $path ('/v1/chat/completions', '/v1/embeddings') {
    ($r, $q) = send_to($path, '{"model":"here","messages":[],"input":"x"}', undef, type => 'application/json');
    is($r->header('x-llm-error'), 'caller_unsupported', "$path: not at whisper.cpp");
}
$r = $gw->http(GET => '/raw/health');
is(($up->received)[-1]{path}, '/w/health', 'other paths by passthrough');

# ---- answers --------------------------------------------------------------------

for my $t ([ text => 'inference.text.http', 'text/plain; charset=utf-8', "$text\n" ],
           [ srt => 'inference.srt.http', 'application/x-subrip', "1\n00:00:00,000 --> 00:00:01,800\n$text\n\n" ],
           [ vtt => 'inference.vtt.http', 'text/vtt', "WEBVTT\n\n00:00:00.000 --> 00:00:01.800\n$text\n\n" ])
{
    my ($format, $file, $type, $want) = @$t;
    ($r, $q) = send_to($hear, upload(model => 'here', file => $wav, response_format => $format), raw($file));
    is($r->status, 200, "response_format=$format");
    is($r->header('content-type'), $type, '... its type');
    is($r->body, $want, '... and text') or diag explain $r->body;
}

my $verbose = fixture_text('whispercpp/inference.verbose.response.json');
($r, $q) = send_to($hear, upload(model => 'here', file => $wav, response_format => 'verbose_json'), json($verbose));
my $want = from_json($verbose);
$want->{text} = $text;
$want->{words} = [ { word => 'Hello', start => 0.0, end => 0.42 } ];
is_deeply($r->json, $want, 'verbose_json: everything is there, and the words') or diag explain $r->json;
($id) = $r->header('x-id');
@f = split /\|/, wait_for(sub { (grep { /^\Q$id\E\|/ } split /\n/, $gw->access('llm.log'))[0] });
is($f[1], '1.800', '... its duration counts');

for my $t ([ ' One.\n Two.\n', 'One. Two.' ], [ '', '' ], [ '\n', '' ], [ 'One,\ntwo\n', 'One, two' ], [ "\x{4f60}\x{597d}\\n\x{518d}\x{89c1}", "\x{4f60}\x{597d}\x{518d}\x{89c1}" ],
           [ ' a  \"b\" \\\\n \u0041\n', 'a  "b" \\n A' ]) {
    my ($spelt, $said) = @$t;
    utf8::encode($spelt);
    ($r) = send_to($hear, upload(model => 'here', file => $wav), json(qq({"text":"$spelt"})));
    is($r->json->{text}, $said, "text of several lines: $spelt");
}
($r) = send_to($hear, upload(model => 'here', file => $wav, response_format => 'text'), [ [ header => 'Content-Type: text/html; charset=utf-8' ], [ body => '' ] ]);
is($r->status, 200, 'silence');
is($r->body, "\n", '... is an empty line');

# ---- errors ----------------------------------------------------------------------

my @audio = upload(model => 'here', file => $wav);
for my $t (
    [ raw('error.400-bad-audio.http'), 400, 'caller_invalid_request', qr/failed to read audio data/ ],
    [ raw('error.400-no-file.http'), 400, 'caller_invalid_request', qr/no 'file' field/ ],
    [ json('{"error":"failed to read WAV file"}'), 400, 'caller_invalid_request', qr/failed to read WAV file/ ],
    [ reply(500, {}, '{"error":"FFmpeg conversion failed."}'), 400, 'caller_invalid_request', qr/FFmpeg/ ],
    [ reply(500, { 'Content-Type' => 'text/plain' }, "500 Internal Server Error\nstoi"), 400, 'caller_invalid_request', qr/./ ],
    [ reply(400, { 'Content-Type' => 'text/plain' }, 'Invalid request'), 400, 'caller_invalid_request', qr/./ ],
    [ json('{"error":"failed to process audio"}'), 502, 'provider_error', qr/./ ],
    [ reply(500, {}, '{"error":"failed to process audio"}'), 502, 'provider_error', qr/./ ],
    [ raw('error.404.http'), 502, 'provider_error', qr/./ ],
    [ raw('health.503-loading.http'), 503, 'provider_overloaded', qr/./ ],
    [ json('{"status":"ok"}'), 502, 'provider_bad_answer', qr/./ ],
    [ [ [ 'http-file', fixture('openai/error.502-html.http') ] ], 502, 'provider_error', qr/./ ],
    [ [ [ header => 'Content-Type: text/html' ], [ body => "<!DOCTYPE html>\n<html><body>Welcome" ] ], 502, 'provider_bad_answer', qr/./ ],
    [ [ [ header => 'Content-Type: image/png' ], [ body => 'x' ] ], 502, 'provider_bad_answer', qr/./ ],
    [ [ [ 'sse-file', fixture('openai/transcription.stream.sse') ] ], 502, 'provider_bad_answer', qr/./ ],
) {
    my ($script, $status, $code, $message) = @$t;
    ($r) = send_to($hear, @audio, $script);
    my $name = to_json($script->[0]);
    is($r->status, $status, "$name: status");
    is($r->header('x-llm-error'), $code, '... code');
    like($r->json->{error}{message}, $message, '... message');
}

# only a server's fault goes on
for my $t ([ raw('health.503-loading.http'), 'there' ], [ raw('error.404.http'), 'there' ], [ raw('error.400-bad-audio.http'), 'here' ]) {
    $up->reset;
    $up->on('/w/*' => $t->[0]);
    $up->on('/b/*' => json('{"text":"there"}'));
    $r = $gw->http(POST => $hear, { 'Content-Type' => 'multipart/form-data; boundary=bb' }, upload(model => 'both', file => $wav));
    is($r->header('x-llm-model'), $t->[1], to_json($t->[0]) . ": $t->[1]");
    next if $t->[1] eq 'here';
    is(fields(($up->received)[-1]), 'file model=whisper-1', '... asked in its own words');
}

# ---- any size, over two attempts ---------------------------------------------------

my $block = join '', map { chr(($_ * 167) & 255) } 1 .. 65_500;
$wav = "RIFF\0\0\0\0WAVE" . join '', map { pack('N', $_) . $block } 1 .. 80;
$up->reset;
$up->on('/w/*' => raw('health.503-loading.http'), json('{"text":" long\n"}'));
my $before = anonymous();
$r = $gw->http(POST => '/again/audio/transcriptions', { 'Content-Type' => 'multipart/form-data; boundary=bb' }, upload(file => $wav, model => 'here', prompt => 'behind'), timeout => 30);
is($r->json->{text}, 'long', 'an upload of 5 MB, the second time');
my @sent = $up->received;
is(scalar @sent, 2, '... two attempts');
is($sent[0]{sha256}, $sent[1]{sha256}, '... the same bytes');
is($sent[0]{len}, length(upload(language => 'auto', file => $wav, prompt => 'behind')), '... all of them');
cmp_ok(anonymous() - $before, "<", 3_000, '... in constant memory (kB)');

sub anonymous {
    my ($pid) = $gw->workers;
    open my $fh, '<', "/proc/$pid/status" or die $!;
    my ($kb) = map { /^RssAnon:\s+(\d+)/ } <$fh>;
    return $kb;
}

finish;
