# HTTP/2 clients: answers, streams, uploads, and streams that are reset.

use lib 't/lib';
use Test::LLM;

use File::Temp ();

my ($curl, $h2load) = map {
    my $name = $_;
    (grep { -x } map { "$_/$name" } split /:/, $ENV{PATH})[0];
} qw(curl h2load);
if (!$curl || `$curl --version` !~ /\bHTTP2\b/) {
    plan(skip_all => 'no curl that speaks HTTP/2');
}

my $up = Test::LLM::Upstream->new;
my $gw = Test::LLM::Gateway->new(vars => { UP => $up->port }, env => { KEY_A => 'sk-alpha-00001' }, conf => <<'EOC')->start;
    llm_zone t:8m;
    client_max_body_size 50m;
    log_format llm '$status|$llm_status_class|$llm_attempts|$llm_output_tokens|$server_protocol';
    access_log %%DIR%%/llm.log llm;
    llm_provider a { dialect openai; base_url http://127.0.0.1:%%UP%%/a/v1; key env:KEY_A; breaker off; }
    llm_provider b { dialect openai; base_url http://127.0.0.1:%%UP%%/b/v1; breaker off; }
    llm_provider m { dialect mock; }
    llm_model whisper { provider a; id whisper-1; can transcribe; }
    llm_prompt p { user "{text}"; set model x; answer json; }
    server {
        listen 127.0.0.1:%%PORT%% http2;
        llm_retry 1 backoff=1ms..5ms;
        location /a/ { llm_pass a; }
        location /ba/ { llm_pass b a; }
        location /m/ { llm_pass m; }
        location = /analyze { llm_analyze p; llm_pass a; }
        location = /transcribe { llm_transcribe language=fa; llm_pass whisper; }
        location = /up { return 204; }
    }
EOC

my $true = JSON::PP::true();
my $path = '/v1/chat/completions';
my $url = 'http://127.0.0.1:' . $gw->port;
my $tmp = File::Temp::tempdir(CLEANUP => 1);

sub file {
    my ($name, $bytes) = @_;
    open my $fh, '>:raw', "$tmp/$name" or die $!;
    print $fh $bytes;
    close $fh or die $!;
    return "$tmp/$name";
}

sub slurp {
    my ($path) = @_;
    open my $fh, '<:raw', $path or return '';
    local $/;
    return readline($fh) // '';
}

sub curl { return ($curl, '-s', '--http2-prior-knowledge', '--max-time', 30 * $Test::LLM::Gateway::SLOW, @_) }

# (status, protocol, head, body, exit code)
sub ask {
    my (@args) = @_;
    open my $out, '-|', curl('-D', "$tmp/head", '-o', "$tmp/body", '-w', '%{http_code} %{http_version}', @args) or die $!;
    my ($status, $version) = split ' ', scalar(readline $out) // '';
    close $out;
    my $code = $? >> 8;
    my ($head, $body) = map { slurp("$tmp/$_") } 'head', 'body';
    unlink "$tmp/head", "$tmp/body";
    return { status => $status, version => $version, head => $head, body => $body, code => $code };
}

sub post {
    my ($path, $body, @more) = @_;
    return ask(@more, '-H', 'Content-Type: application/json', '--data-binary', '@' . file('request', $body), "$url$path");
}

sub logged { my @l = split /\n/, $gw->access('llm.log'); return @l }

# ---- one answer ------------------------------------------------------------------------

$up->on('/a/*' => ok_chat('fine'));
my $r = post("/a$path", chat_body('m'));
is($r->{status}, 200, 'a chat');
is($r->{version}, 2, '... over HTTP/2');
is(from_json($r->{body})->{choices}[0]{message}{content}, 'fine', '... its text');
like($r->{head}, qr/^x-llm-provider: a\r$/m, '... x-llm-provider');
unlike($r->{head}, qr/^(?:connection|transfer-encoding|keep-alive):/im, '... no header of HTTP/1');

$r = ask("$url/a/v1/realtime?model=m", '-H', 'Sec-WebSocket-Version: 13');
is($r->{status}, 426, 'a session: WebSocket needs HTTP/1.1');
is(from_json($r->{body})->{error}{code}, 'caller_upgrade_required', '... says so');
unlike($r->{head}, qr/^upgrade:/im, '... without a header of HTTP/1');

$up->on('/b/*' => reply(500, {}, '{"error":{"message":"x"}}'));
$r = post("/ba$path", chat_body('m'));
is($r->{status}, 200, 'after a fallback');
like($r->{head}, qr/^x-llm-fallbacks: 1\r$/m, '... x-llm-fallbacks');

$up->on('/a/*' => ok_chat('{"answer":42}'));
$r = post('/analyze', '{"text":"x"}');
is($r->{body}, '{"answer":42}', '/analyze');

$r = post("/a$path", '{"model":');
is($r->{status}, 400, 'a body that is not JSON');
like($r->{head}, qr/^x-llm-error: caller_invalid_json\r$/m, '... x-llm-error');

# ---- bodies ----------------------------------------------------------------------------

$up->reset;
$up->on('/a/*' => ok_chat('long'));
my $long = chat_body('m', x => 'y' x 5_000_000);
$r = post("/a$path", $long);
is($r->{status}, 200, 'a body of 5 MB');
is(($up->received)[-1]{len}, length($long), '... sent on');

my $audio = file('big.wav', fixture_text('audio/hello.wav') . "\x01\x02" x 12_000_000);
$up->reset;
$up->on('/a/*' => [ [ json => '{"text":"heard"}' ] ]);
$r = ask('-F', "file=\@$audio;type=audio/wav", '-F', 'temperature=0', "$url/transcribe");
is($r->{status}, 200, 'an upload of 24 MB');
is(from_json($r->{body})->{text}, 'heard', '... its answer');
my ($q) = $up->received;
cmp_ok($q->{len}, '>', 24_000_000, '... sent on');

# without a length: HTTP/2 needs none
$up->reset;
$up->on('/a/*' => ok_chat('unsized'));
$r = post("/a$path", $long, '-H', 'Content-Length:', '-H', 'Expect:');
is($r->{status}, 200, 'a body without a length');

# ---- streams ---------------------------------------------------------------------------

$up->reset;
$up->on('/a/*' => ok_stream([ 'one', [ pause => 50 ], ' two', ' three' ], usage => { prompt_tokens => 1, completion_tokens => 3, total_tokens => 4 }));
$r = post("/a$path", chat_body('m', stream => $true), '-N');
is($r->{status}, 200, 'a stream');
like($r->{head}, qr{^content-type: text/event-stream}im, '... of events');
like($r->{body}, qr/one.* two.* three.*data: \[DONE\]\n\n\z/s, '... whole');

$up->reset;
$up->on('/a/*' => ok_stream([ 'one', [ pause => 100 ], [ 'rst' ] ]));
$r = post("/a$path", chat_body('m', stream => $true), '-N');
like($r->{body}, qr/one/, 'a stream cut by the provider: its beginning');
unlike($r->{body}, qr/\[DONE\]/, '... no [DONE]');
like($r->{body}, qr/^data: \{"error":.*"provider_cut"/m, '... an error event, which a reset would swallow');

# an answer cut after the head must not look whole
$up->reset;
$up->on('/a/*' => [ [ raw => "HTTP/1.1 200 OK\r\nContent-Type: audio/mpeg\r\nContent-Length: 5000\r\n\r\nabc" ], [ pause => 100 ], [ 'fin' ] ]);
$r = post('/a/v1/audio/speech', '{"model":"m","input":"x","voice":"v"}');
cmp_ok($r->{code}, '!=', 0, 'a body cut by the provider is a stream error') or diag explain $r;

# ---- the client resets its stream, or leaves -------------------------------------------

for my $case ([ 'head', [ [ barrier => 'go' ] ] ], [ 'stream', ok_stream([ 'one', [ barrier => 'go' ], 'two' ]) ]) {
    my ($name, $script) = @$case;
    $up->close_all;                  # idle ones of the tests before
    $up->reset;
    $up->on('/a/*' => $script);
    my $n = logged();
    my $body = file('request', chat_body('m', stream => $true));
    my $pid = fork // die $!;
    if ($pid == 0) {
        open STDOUT, '>', "$tmp/out";
        exec curl('-N', '-H', 'Content-Type: application/json', '--data-binary', "\@$body", "$url/a$path") or POSIX::_exit(1);
    }
    wait_for(sub { $up->waiting('go') });
    wait_for(sub { -s "$tmp/out" }) if $name eq 'stream';
    kill 'KILL', $pid;
    waitpid $pid, 0;
    ok(wait_for(sub { logged() > $n }), "$name: the client leaves, the request ends");
    like((logged())[-1], qr/^(?:499|200)\|/, '... and is logged');
    ok(wait_for(sub { !grep { !$_->{closed} } $up->connections }, 3), '... the provider connection closes');
}

# ---- many at once, on few connections --------------------------------------------------

SKIP: {
    skip('no h2load', 3) unless $h2load;
    $up->reset;
    $up->on('/a/*' => ok_stream([ 'one', ' two' ]));
    my $body = file('request', chat_body('m', stream => $true));
    my $text = `$h2load -n 400 -c 4 -m 50 -d $body -H 'content-type: application/json' $url/a$path 2>&1`;
    like($text, qr/\b400 succeeded, 0 failed/, '400 streams on 4 connections') or diag $text;
    like($text, qr/status codes: 400 2xx/, '... all 200');
    $text = `$h2load -n 400 -c 4 -m 50 -d $body -H 'content-type: application/json' $url/m$path 2>&1`;
    like($text, qr/status codes: 400 2xx/, '... from the mock too') or diag $text;
}

finish();
