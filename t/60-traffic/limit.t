# llm_limit: who may send how many requests, tokens and seconds of audio; what a
# refusal says and takes; what comes back when less was used.

use lib 't/lib';
use Test::LLM;

my $up = Test::LLM::Upstream->new;
my $dead = silent_port();
my $gw = Test::LLM::Gateway->new(vars => { UP => $up->port, DEAD => $dead }, workers => 2, conf => <<'EOC')->start;
    llm_zone t:8m;
    log_format llm '$http_x_n|$llm_limited|$llm_error';
    access_log %%DIR%%/llm.log llm;
    llm_provider up   { dialect openai; base_url http://127.0.0.1:%%UP%%/v1; breaker off; }
    llm_provider dead { dialect openai; base_url http://127.0.0.1:%%DEAD%%/v1; breaker off; }
    llm_model m { provider up; id m; }
    llm_model n { provider up; id n; }
    llm_model d { provider dead; id d; }
    llm_route r { target m; }
    upstream site { server 127.0.0.1:%%UP%%; }
    llm_split copied { variant a m 100%; variant b n 0%; mirror b 100%; }
    llm_split app { variant a http://site 50%; variant b http://site 50%; }
    server {
        listen 127.0.0.1:%%PORT%%;
        llm_retry off;
        location /requests/ { llm_pass m; llm_limit per=$http_x_team 3r/m; }
        location /tokens/   { llm_pass m; llm_limit per=$http_x_team 1000t/m; }
        location /in/       { llm_pass m; llm_limit per=$http_x_team 500i/m 100o/m; }
        location /parallel/ { llm_pass m; llm_limit per=$http_x_team parallel=2; }
        location /refund/   { llm_pass d; llm_limit 2r/m 100000t/m parallel=1; }
        location /gone/     { llm_pass m; llm_limit per=$http_x_team 2r/m parallel=1; }
        location /dry/      { llm_pass m; llm_limit per=$http_x_team 1r/m dry_run; }
        location /model/    { llm_pass $llm_model; llm_limit per=model 1r/m; }
        location /route/    { llm_pass r; llm_limit per=route 1r/m; }
        location /all/      { llm_pass m; llm_limit 2r/m; }
        location /quiet/    { llm_pass m; llm_limit 1r/m; llm_response_headers off; }
        location /audio/    { llm_pass m; llm_limit per=$http_x_team 10s/h; }
        location /app/      { llm_pass app; llm_limit per=$http_x_team 2r/m 10t/m parallel=5; }
        location /copied/   { llm_pass copied; llm_limit per=route 5r/m; llm_limit 7r/m; }
        location /admin/    { llm_admin; }
        location /day/      { llm_pass m; llm_limit 1r/d; }
        location /outer/ {
            llm_limit per=$http_x_team 2r/m;
            location /outer/more/ { llm_pass m; llm_limit per=$http_x_team 1r/m; }
            location /outer/off/  { llm_pass m; llm_limit off; }
            location /outer/same/ { llm_pass m; }
        }
    }
EOC

$up->on('/*' => ok_chat('x', headers => [ 'x-ratelimit-limit-requests: 99999', 'x-ratelimit-remaining-tokens: 88888' ]));

sub ask {
    my ($where, $team, %o) = @_;
    my $headers = { defined $team ? ('X-Team' => $team) : (), %{ delete $o{headers} || {} } };
    my $model = delete $o{model} || 'm';
    return $gw->http(POST => "/$where/v1/chat/completions", $headers, chat_body($model, max_tokens => 5, %o));
}

sub limits { my ($r, $of) = @_; join ' ', map { $r->header("x-ratelimit-$_-$of") // '-' } qw(limit remaining) }


# requests -----------------------------------------------------------------------

is(ask(requests => 'a')->status, 200, "request $_ of 3") for 1 .. 2;
my $r = ask(requests => 'a');
is($r->status, 200, 'request 3 of 3');
is(limits($r, 'requests'), '3 0', 'the headers say what is left, and nothing of the provider\'s');
like($r->header('x-ratelimit-reset-requests'), qr/^(?:1m)?\d+(?:\.\d+)?m?s$/, '... and when it is free again');
is($r->header('x-ratelimit-remaining-tokens'), undef, 'no limit of tokens, no header');

my $sent = $up->count('/v1/chat/completions');
$r = ask(requests => 'a', headers => { 'X-N' => 'refused' });
is($r->status, 429, 'request 4 is refused');
is($r->json->{error}{code}, 'rate_limit_exceeded', 'the code of the dialect');
is($r->json->{error}{type}, 'rate_limit_error', 'its type');
is($r->header('x-llm-error'), 'policy_rate_limited', 'our code');
like($r->json->{error}{message}, qr/"\$http_x_team 3r\/m" is reached. Please try again in \d/, 'which rule it was');
like($r->header('retry-after'), qr/^\d+$/, 'Retry-After');
cmp_ok($r->header('retry-after'), '<=', 65, '... within the window');
is(limits($r, 'requests'), '3 0', 'the headers stand on refusals too');
is($up->count('/v1/chat/completions'), $sent, 'the provider was not asked');

is(ask(requests => 'b')->status, 200, 'another team has its own');
is(ask('requests')->status, 200, 'an empty value is not limited') for 1 .. 5;


# tokens -------------------------------------------------------------------------

my @left = map { ask(tokens => 'a')->header('x-ratelimit-remaining-tokens') } 1 .. 4;
is(join(' ', map { $left[$_] - $left[$_ + 1] } 0 .. 2), '14 14 14', 'charged what was used, to the token');

$up->on('/*' => ok_chat('x', usage => { prompt_tokens => 600, completion_tokens => 350, total_tokens => 950 }));
is(ask(tokens => 'b')->status, 200, 'a request that used more than it reserved');
$r = ask(tokens => 'b', max_tokens => 100);
is($r->status, 429, '... leaves too little for the next');
is($r->header('x-ratelimit-remaining-tokens'), 50, 'and 50 tokens');
$up->on('/*' => ok_chat('x'));
is(ask(tokens => 'b')->status, 200, 'enough for a small one') for 1 .. 2;

$r = ask(tokens => 'c', max_tokens => 2000);
is($r->status, 413, 'what needs more than all of it is refused for good');
is($r->header('x-llm-error'), 'policy_request_too_large', '... and told so');
is($r->header('x-should-retry'), 'false', '... and not to come back');
is(ask(tokens => 'c')->status, 200, 'it took nothing');

is(ask(in => 'a')->status, 200, 'input and output apart');
is(ask(in => 'a', max_tokens => 99)->status, 429, 'too little output left');
is(ask(in => 'a', max_tokens => 90)->status, 200, 'enough');

$up->on('/*' => ok_chat('four words or so', usage => undef));
@left = map { ask(tokens => 'd')->header('x-ratelimit-remaining-tokens') } 1 .. 2;
cmp_ok($left[0] - $left[1], '>', 20, 'an answer without usage is charged as estimated');
$up->on('/*' => ok_chat('x'));


# streams ------------------------------------------------------------------------

$up->on('/*' => ok_stream([ 'a' .. 'e' ], usage => { prompt_tokens => 40, completion_tokens => 5, total_tokens => 45 }));
@left = map { ask(tokens => 's', stream => JSON::PP::true())->header('x-ratelimit-remaining-tokens') } 1 .. 2;
is($left[0] - $left[1], 45, 'a stream is charged by its usage');

$up->on('/*' => ok_stream([ ('w') x 300, [ barrier => 'long' ], 'x' ], usage => { prompt_tokens => 40, completion_tokens => 301, total_tokens => 341 }), ok_chat('x'));
my ($stream) = start_all($gw, [ POST => '/tokens/v1/chat/completions', { 'X-Team' => 'l' }, chat_body('m', max_tokens => 5, stream => JSON::PP::true()) ]);
ok(wait_for(sub { $up->waiting('long') }), 'the stream stands');
ok(wait_for(sub { ask(tokens => 'l')->header('x-ratelimit-remaining-tokens') < 700 }), 'others see what a running stream took');
$up->release('long');
run_all(10, $stream);
is($stream->status, 200, 'it was never cut');


# parallel -----------------------------------------------------------------------

$up->on('/*' => [ [ barrier => 'p' ], @{ ok_chat('x') } ]);
my @open = start_all($gw, map { [ POST => '/parallel/v1/chat/completions', { 'X-Team' => 'a' }, chat_body('m') ] } 1 .. 2);
ok(wait_for(sub { $up->waiting('p') == 2 }), 'two are under way');
$r = ask(parallel => 'a');
is($r->status, 429, 'a third is one too many');
cmp_ok($r->header('retry-after'), '<=', 2, '... for a moment');
$up->release('p');
run_all(10, @open);
is(join(' ', map { $_->status } @open), '200 200', 'both were served');
$up->on('/*' => ok_chat('x'));
is(ask(parallel => 'a')->status, 200, 'then there is room');


# what comes back ----------------------------------------------------------------

is(ask('refund')->status, 502, 'a provider that cannot be reached') for 1 .. 4;

$up->on('/*' => reply(429, { 'Retry-After' => 1 }, '{"error":{"message":"slow down","type":"rate_limit_error","code":"rate_limit_exceeded"}}'));
is(ask(gone => 'r')->header('x-llm-error'), 'provider_rate_limited', "the provider's own 429 is not charged") for 1 .. 3;
$up->on('/*' => reply(400, {}, '{"error":{"message":"no","type":"invalid_request_error"}}'));
is(ask(gone => 'i')->status, 400, 'what it refuses as invalid counts as a request') for 1 .. 2;
is(ask(gone => 'i')->status, 429, '... and no more');

$up->on('/*' => [ [ barrier => 'g' ], @{ ok_chat('x') } ]);
my $gone = $gw->request(POST => '/gone/v1/chat/completions', { 'X-Team' => 'g' }, chat_body('m'));
run_all(10, $gone, sub { $up->waiting('g') });
undef $gone;
$up->release('g');
$up->on('/*' => ok_chat('x'));
ok(wait_for(sub { ask(gone => 'g')->status == 200 }), 'a client that left gives its place back');


# dry run, scopes, levels --------------------------------------------------------

is(ask(dry => 'a', headers => { 'X-N' => "dry$_" })->status, 200, 'a dry run refuses nobody') for 1 .. 2;

is(ask(model => undef, model => 'm')->status, 200, 'a limit per model');
is(ask(model => undef, model => 'm')->status, 429, '... of this model');
is(ask(model => undef, model => 'n')->status, 200, '... and not of another');
is(ask('route')->status, 200, 'a limit per route');
is(ask('route', undef, model => 'x')->status, 429, '... whatever model the client names');
is(ask('all')->status, 200, 'a limit for everybody') for 1 .. 2;
is(ask(all => 'x')->status, 429, '... together');

is(ask('outer/more', 'a')->status, 200, 'rules of two levels');
$r = ask('outer/more', 'a');
is($r->status, 429, 'the inner one refuses');
like($r->json->{error}{message}, qr{"\$http_x_team 1r/m in /outer/more/"}, '... by its name');
is(ask('outer/same', 'a')->status, 200, 'the refused request took nothing of the outer one');
is(ask('outer/same', 'a')->status, 429, 'which counts for all locations below');
is(ask('outer/off', 'a')->status, 200, 'off ends it') for 1 .. 3;

$r = ask('quiet');
is($r->status, 200, 'headers can be off');
is(limits($r, 'requests'), '- -', '... these too');

is(ask('day')->status, 200, 'a limit per day');
$r = ask('day');
is($r->status, 429, 'is reached');
is($r->header('x-should-retry'), 'false', 'nobody should wait that long');


# copies -------------------------------------------------------------------------

$sent = $up->count('/v1/chat/completions');
is(ask('copied')->status, 200, 'a request that is copied') for 1 .. 2;
ok(wait_for(sub { $up->count('/v1/chat/completions') == $sent + 4 }), 'the copies are sent');
my ($of) = grep { $_->{name} eq '7r/m' } @{ $gw->get('/admin/limits')->json->{rules} };
is($of->{left}, 5, '... and take nothing');


# audio --------------------------------------------------------------------------

$up->on('/*' => [ [ json => '{"text":"hello"}' ] ]);
my $wav = 'RIFF' . pack('V', 36 + 64000) . 'WAVEfmt ' . pack('VvvVVvv', 16, 1, 1, 16000, 32000, 2, 16) . 'data' . pack('V', 64000) . "\0" x 64000;
my $form = "--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nm\r\n--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\n\r\n$wav\r\n--b--\r\n";
my @audio = map { $gw->http(POST => '/audio/v1/audio/transcriptions', { 'X-Team' => 'a', 'Content-Type' => 'multipart/form-data; boundary=b' }, $form)->status } 1 .. 6;
is("@audio", '200 200 200 200 200 429', 'five times two seconds of ten');


# applications -------------------------------------------------------------------

$up->on('/*' => reply(200, {}, 'hi'));
$r = $gw->get('/app/x', { 'X-Team' => 'a' });
is($r->status, 200, 'an application: requests count');
is(limits($r, 'requests'), '2 1', '... and are told');
is($gw->get('/app/x', { 'X-Team' => 'a' })->status, 200, 'tokens do not');
$sent = $up->count('/app/x');
$r = $gw->http(POST => '/app/x', { 'X-Team' => 'a' }, 'y' x 100000);
is($r->status, 429, 'the third is one too many');
is($r->header('x-llm-error'), 'policy_rate_limited', '... with our code');
is($up->count('/app/x'), $sent, 'the application never saw it');


# logs ---------------------------------------------------------------------------

my %log = map { my ($n, @rest) = split /\|/; ($n => join '|', @rest) } split /\n/, $gw->access('llm.log');
is($log{refused}, '$http_x_team 3r/m|policy_rate_limited', '$llm_limited names the rule');
is($log{dry1}, '-|-', 'a dry run that would not have refused');
is($log{dry2}, '$http_x_team 1r/m|-', '... and one that would');

$gw->reload;
is(ask('day')->status, 429, 'a reload forgets nothing');
(my $more = $gw->{conf}) =~ s{llm_limit 1r/d}{llm_limit 2r/d};
$up->on('/*' => ok_chat('x'));
$gw->reload($more);
is(ask('day')->status, 200, 'of a changed limit what was used counts on');
is(ask('day')->status, 429, '... and no more');

finish();
