# The same mix of good, failing, cut and abandoned requests again and again: the
# worker's memory and descriptors stop growing.

use lib 't/lib';
use Test::LLM;

my $up = Test::LLM::Upstream->new;
my $gw = Test::LLM::Gateway->new(vars => { UP => $up->port, SILENT => silent_port() }, level => 'crit',
    env => { KEY_A => 'sk-alpha-00001', KEY_B => 'sk-beta-00002' }, conf => <<'EOC')->start;
    llm_zone t:8m;
    access_log off;
    llm_key_pool k { key env:KEY_A; key env:KEY_B; cooldown off; }
    llm_provider a { dialect openai; base_url http://127.0.0.1:%%UP%%/a/v1; keys k; breaker off; inflight 500 queue=10; }
    llm_provider d { dialect openai; base_url http://127.0.0.1:%%SILENT%%/v1; breaker off; }
    llm_provider cut { dialect openai; base_url http://127.0.0.1:%%UP%%/cut/v1; breaker off; }
    llm_model cut-1 { provider cut; }
    llm_model on { provider a; id stream; can chat stream prefill; }
    llm_route on-prefix { target cut-1; target on; resume on; }
    llm_route on-afresh { target cut-1; target cut; target m; resume on; }
    llm_provider m { dialect mock; chunk_interval 1ms; }
    llm_prompt p { user "{text}"; set model m; answer json schema=file:%%T%%/fixtures/app/analyze.schema.json; }
    server {
        listen 127.0.0.1:%%PORT%%;
        llm_retry 1 backoff=1ms..2ms;
        location /a/ { llm_pass a; }
        location /da/ { llm_pass d a; }
        location /on-prefix/ { llm_pass on-prefix; }
        location /on-afresh/ { llm_pass on-afresh; }
        location /m/ { llm_pass m; }
        location = /analyze { llm_analyze p; llm_pass m; }
        location = /transcribe { llm_transcribe language=en; llm_pass m; }
    }
EOC

my $true = JSON::PP::true();
my $path = 'v1/chat/completions';
my $wav = do { local $/; open my $f, '<:raw', fixture('audio/hello.wav') or die $!; <$f> };
$up->on('/a/*' => ok_chat('fine'));
$up->on('/cut/*' => ok_stream([ 'a', 'b', [ pause => 1 ], [ 'rst' ] ]));
$up->on({ model => 'stream' } => ok_stream([ 'a', 'b', 'c' ], usage => { prompt_tokens => 1, completion_tokens => 1, total_tokens => 2 }));
$up->on({ model => 'cut' } => ok_stream([ 'a', [ pause => 1 ], [ 'rst' ] ]));
$up->on({ model => 'fail' } => reply(500, {}, '{"error":{"message":"x"}}'));
$up->on({ model => 'limit' } => reply(429, {}, '{"error":{"message":"x"}}'));
$up->on({ model => 'garbage' } => [ [ raw => "nonsense\r\n\r\n" ], 'fin' ]);
$up->on({ model => 'big' } => ok_chat('x' x 200_000));
$up->on({ model => 'hang' } => 'hang');

sub mix {
    my @r = map { my $s = $_ eq 'stream' || $_ eq 'cut';
                  [ POST => "/a/$path", {}, chat_body($_, $s ? (stream => $true) : ()) ] }
        qw(ok stream cut fail limit garbage big);
    push @r, map { [ POST => "/$_/$path", {}, chat_body('x', stream => $true) ] } qw(on-prefix on-afresh);
    push @r, [ POST => "/da/$path", {}, chat_body('ok') ], [ POST => "/m/$path", {}, chat_body('x', stream => $true) ],
        [ POST => "/m/$path", {}, '{"broken' ], [ POST => '/analyze', {}, to_json({ text => 'x' }) ],
        [ POST => '/transcribe', { 'Content-Type' => 'audio/wav' }, $wav ], [ GET => '/a/v1/nothing' ];
    return @r;
}

sub round {
    for (1 .. $_[0]) {
        my @c = start_all($gw, mix());
        my @gone = start_all($gw, map { [ POST => "/a/$path", {}, chat_body('hang') ] } 1 .. 3);
        run_all(20, @c);
        $_->abort(rand() < 0.5 ? 'hard' : '') for @gone;
    }
    $up->forget;
}

my ($worker) = $gw->workers;
sub rss { open my $f, '<', "/proc/$worker/status" or die $!; my ($kb) = map { /^RssAnon:\s+(\d+)/ } <$f>; return $kb }

round(25);
my ($rss, $fds) = (rss(), $gw->fd_count($worker));
round(25) for 1 .. 3;
my $grown = rss() - $rss;
SKIP: {
    skip 'a checked nginx keeps freed memory', 1 if ($ENV{LLM_NGINX} // '') =~ /asan|valgrind/ || $ENV{LLM_VALGRIND};
    cmp_ok($grown, '<', 600, "memory after 1200 more requests: $grown kB");
}
ok(wait_for(sub { $gw->fd_count($worker) <= $fds + 10 }), 'descriptors') or diag $gw->fd_count($worker), " then $fds";
is(($gw->workers)[0], $worker, 'the same worker');

finish();
