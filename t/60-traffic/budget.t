# llm_budget: money is reserved by what a request may cost and charged by what
# it did cost; budgets that refuse, warn, send elsewhere, and those of providers.

use lib 't/lib';
use Test::LLM;

my $up = Test::LLM::Upstream->new;
my $hook = Test::LLM::Upstream->new;
my $gw = Test::LLM::Gateway->new(vars => { UP => $up->port, HOOK => $hook->port }, workers => 2, conf => <<'EOC')->start;
    llm_zone t:8m;
    log_format llm '$http_x_n|$llm_cost|$llm_budget|$llm_limited|$llm_route|$llm_error';
    access_log %%DIR%%/llm.log llm;
    llm_provider up    { dialect openai; base_url http://127.0.0.1:%%UP%%/v1; breaker off; }
    llm_provider other { dialect openai; base_url http://127.0.0.1:%%UP%%/other/v1; breaker off; }
    llm_model dear   { provider up;    id dear;   price input=1000 output=2000; }
    llm_model cheap  { provider other; id cheap;  price input=10 output=20; }
    llm_model middle { provider other; id middle; price input=300 output=600; }
    llm_model none   { provider other; id none; }
    llm_model speech { provider up;    id speech; price audio=6; }
    llm_route both   { target dear; target cheap; }
    llm_route some   { target none; target dear; }
    llm_split s { variant a dear 50%; variant b cheap 50%; }
    server {
        listen 127.0.0.1:%%PORT%%;
        llm_retry off;
        llm_response_headers all;
        location /hard/     { llm_pass dear;  llm_budget per=$http_x_team 0.1usd/h; }
        location /none/     { llm_pass $llm_model; llm_budget per=$http_x_team 1usd/h; }
        location /some/     { llm_pass some;  llm_budget per=$http_x_team 1usd/h; }
        location /warn/     { llm_pass dear;  llm_budget per=$http_x_team 0.1usd/h warn=30% webhook=http://127.0.0.1:%%HOOK%%/hook; }
        location /degrade/  { llm_pass dear;  llm_budget per=$http_x_team 0.04usd/h at=50% degrade to=cheap; }
        location /both/     { llm_pass s;     llm_budget per=$http_x_team 0.01usd/h degrade to=middle; llm_budget per=$http_x_team 0.06usd/h; }
        location /alert/    { llm_pass dear;  llm_budget per=$http_x_team 0.02usd/h alert; }
        location /dry/      { llm_pass none;  llm_budget per=$http_x_team 0.02usd/h dry_run; }
        location /at/       { llm_pass dear;  llm_budget per=$http_x_team 0.2usd/h at=50%; }
        location /audio/    { llm_pass speech; llm_budget per=$http_x_team 1usd/d; }
        location /provider/ { llm_pass both;  llm_budget per=provider 0.06usd/h; }
        location /admin/    { llm_admin; }
        location = /metrics { llm_metrics; }
        location /everybody/ { llm_pass dear; llm_budget 5usd/M reset=00:00@Asia/Tehran; llm_limit 100r/h; }
        location /alone/    { llm_pass dear;  llm_budget per=provider 0.06usd/d; }
    }
EOC

my $usage = { prompt_tokens => 11, completion_tokens => 3, total_tokens => 14 };    # 0.017 dollars at "dear"
$up->on('/*' => ok_chat('x'));
$hook->on('/*' => reply(204, {}, ''));

sub ask {
    my ($where, $team, %o) = @_;
    my $headers = { 'X-Team' => $team, %{ delete $o{headers} || {} } };
    return $gw->http(POST => "/$where/v1/chat/completions", $headers, chat_body(delete $o{model} || 'm', max_tokens => 3, %o));
}


# refuse -------------------------------------------------------------------------

my ($n, $r);
for ($n = 0; $n < 10; $n++) {
    $r = ask(hard => 'a', headers => { 'X-N' => "hard$n" });
    last if $r->status != 200;
}

cmp_ok($n, '>=', 4, "of a tenth of a dollar $n requests of 0.017 fit");
cmp_ok($n * 0.017, '<=', 0.1, '... and no more');
is($r->status, 429, 'then it is used up');
is($r->json->{error}{type}, 'insufficient_quota', 'the type of the dialect');
is($r->json->{error}{code}, 'insufficient_quota', '... and its code');
is($r->header('x-llm-error'), 'policy_budget_exceeded', 'our code');
like($r->json->{error}{message}, qr/The budget "\$http_x_team 0.1usd\/h" is used up. Please try again in /, 'which one');
cmp_ok($r->header('retry-after'), '<=', 3600, 'until the next hour');
is(ask(hard => 'b')->status, 200, 'another team has its own');
is(ask(hard => 'b', max_tokens => 100)->status, 413, 'all of max_tokens is reserved');

$up->on('/*' => ok_chat('x', usage => { %$usage, cost => 0.05 }));
is(ask(hard => 'c', headers => { 'X-N' => 'told' })->header('x-llm-cost'), '0.05', 'what the provider tells');
is(ask(hard => 'c')->status, 200, '... is charged');
is(ask(hard => 'c')->status, 429, '... twice, and the budget is used up');
$up->on('/*' => ok_chat('x'));

is(ask(none => 'a', model => 'none')->status, 403, 'no price, no request');
is(ask(none => 'a', model => 'none')->header('x-llm-error'), 'policy_price_unknown', '... by its name');
is(ask(none => 'a', model => 'dear')->status, 200, 'a known price');
is(ask(some => 'a')->header('x-llm-model'), 'dear', 'a target without a price is left out');


# failures -----------------------------------------------------------------------

$up->on('/*' => reply(500, {}, '{"error":{"message":"no"}}'));
is(ask(hard => 'f')->status, 502, 'a failed request') for 1 .. 5;
$up->on('/*' => ok_chat('x'));
is(ask(hard => 'f')->header('x-llm-budget'), '0%', '... costs nothing');

$up->on('/*' => [ [ json => '{"choices":[]}' ] ]);
ask(hard => 'g') for 1 .. 2;
$up->on('/*' => ok_chat('x'));
isnt(ask(hard => 'g')->header('x-llm-budget'), '0%', 'an answer that was no use was paid for');


# warn ---------------------------------------------------------------------------

is(ask(warn => 'a')->header('x-llm-budget'), '0%', 'how much was used');
is(ask(warn => 'a')->header('x-llm-budget'), '17%', '... before a request');
is(ask(warn => 'a', headers => { 'X-N' => 'warned' })->header('x-llm-budget'), '34%', '... in steps of its cost');
ask(warn => 'a') for 1 .. 3;
my @lines = $gw->log =~ /(llm budget "\$http_x_team 0.1usd\/h in \/warn\/" of "a" is used to a large part: \d+%)/g;
is(scalar @lines, 1, 'the log says it once') or diag $gw->log =~ /.*budget.*/g;
ok(wait_for(sub { $hook->count('/hook') }), 'the webhook is told');
my $told = from_json(($hook->received('/hook'))[0]{body});
is_deeply([ @$told{qw(event budget subject used_percent usd)} ], [ 'budget_warning', '$http_x_team 0.1usd/h in /warn/', 'a', 34, 0.1 ], '... what');


# degrade, alert, dry run --------------------------------------------------------

my @models;
for (1 .. 6) {
    $r = ask(degrade => 'a', headers => { 'X-N' => "degrade$_" });
    is($r->status, 200, "request $_ of a budget that degrades");
    push @models, $r->header('x-llm-model');
}
is("@models", 'dear dear cheap cheap cheap cheap', 'from its half on another route serves');
is($r->header('x-llm-degraded'), 'cheap', 'the header says so');
is(ask(degrade => 'b')->header('x-llm-degraded'), undef, 'nobody else is moved');

my $variant;
for (1 .. 60) {
    $r = ask(both => 'a');
    last if $r->status != 200;
    $variant = $r->header('x-llm-variant');
}
is($r->status, 429, 'a second budget refuses');
is($variant, undef, 'a request that was moved has left its split');

is(ask(alert => 'a')->status, 200, 'alert refuses nobody') for 1 .. 4;
like($gw->log, qr/llm budget "\$http_x_team 0.02usd\/h" of "a" is used up/, '... but says it');
is(ask(dry => 'a', headers => { 'X-N' => "dry$_" })->status, 200, 'nor does a dry run, without any price') for 1 .. 3;

my $at = 0;
$at++ while $at < 20 && ask(at => 'a')->status == 200;
cmp_ok($at * 0.017, '<=', 0.1, 'at=50% of twice as much is the same');


# audio --------------------------------------------------------------------------

$up->on('/*' => [ [ json => '{"text":"hello"}' ] ]);
my $wav = 'RIFF' . pack('V', 36 + 128000) . 'WAVEfmt ' . pack('VvvVVvv', 16, 1, 1, 16000, 32000, 2, 16) . 'data' . pack('V', 128000) . "\0" x 128000;
my $form = "--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nm\r\n--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\n\r\n$wav\r\n--b--\r\n";
my @audio = map { $gw->http(POST => '/audio/v1/audio/transcriptions', { 'X-Team' => 'a', 'Content-Type' => 'multipart/form-data; boundary=b' }, $form) } 1 .. 3;
is(join(' ', map { $_->status } @audio), '200 200 429', 'four seconds at 6 dollars a minute, twice');
is($audio[0]->header('x-llm-cost'), '0.4', '... cost 40 cents');
$up->on('/*' => ok_chat('x'));


# providers ----------------------------------------------------------------------

my @providers = map { ask(provider => 'a')->header('x-llm-provider') } 1 .. 6;
is($providers[0], 'up', 'the first target');
is($providers[-1], 'other', 'its provider\'s budget is used up: the next one');
is(ask(provider => 'a')->status, 200, '... serves');

my @alone = map { ask(alone => 'a') } 1 .. 6;
is($alone[0]->status, 200, 'a provider alone');
is($alone[-1]->status, 429, '... with its budget used up');
is($alone[-1]->header('x-llm-error'), 'policy_budget_exceeded', '... by that name');


# what operators see -------------------------------------------------------------

is(ask(everybody => 'a')->status, 200, 'a budget for everybody');
my $limits = $gw->get('/admin/limits?subject=a')->json;
my %rule = map { $_->{name} => $_ } @{ $limits->{rules} };
my $hard = $rule{'$http_x_team 0.1usd/h'};
is_deeply([ map { $_ // 'null' } @$hard{qw(kind per limit clock without_redis action warn at max)} ],
    [ qw(budget $http_x_team 0.1usd/h calendar safe refuse 80 100 0.1) ], 'a rule');
is(sprintf('%.3f', $hard->{left}), sprintf('%.3f', 0.1 - $n * 0.017), 'what a team has left');
cmp_ok($hard->{reset_s}, '<=', 3600, '... and for how long');
is($hard->{totals}{refused} > 0 ? 1 : 0, 1, 'what it refused');
my $all = $rule{'5usd/M'};
is(sprintf('%.3f', $all->{left}), '4.983', 'what all have left');
is($all->{totals}{charged}, 0.017, '... and what they used');
is($rule{'100r/h'}{left}, 99, '... of requests');
is($rule{'$http_x_team 0.04usd/h'}{to}, 'cheap', 'where a budget leads to');
cmp_ok($limits->{counters}{n}, '>', 5, 'counters');
is($gw->get('/admin/limits?subject=%61')->json->{rules}[0]{left}, $limits->{rules}[0]{left}, 'the subject is decoded');
ok(!exists $gw->get('/admin/limits')->json->{rules}[0]{left}, 'nobody asked about');

my $page = $gw->get('/metrics')->body;
like($page, qr/^llm_limit_refused_total\{rule="\$http_x_team 0.1usd\/h",dry_run="0"\} [1-9]/m, 'metrics of a rule');
like($page, qr/^llm_limit_charged_total\{rule="5usd\/M",dry_run="0"\} 17000000$/m, '... in nano-dollars');
like($page, qr/^llm_limit_refused_total\{rule="\$http_x_team 0.02usd\/h",dry_run="1"\} [1-9]/m, '... of one that is soft');


# logs ---------------------------------------------------------------------------

my %log = map { my ($n, @rest) = split /\|/; ($n => join '|', @rest) } split /\n/, $gw->access('llm.log');
is($log{warned}, '0.017|34%|-|dear|-', 'variables of a warned request');
is($log{degrade6}, '0.00017|86%|$http_x_team 0.04usd/h|cheap|-', '... of one that was moved') or diag $log{degrade6};
like($log{"hard$n"}, qr/^-\|\d+%\|\$http_x_team 0.1usd\/h\|dear\|policy_budget_exceeded$/, '... and of one that was refused');

finish();
