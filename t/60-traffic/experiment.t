# A/B tests from outside: who is counted where, votes, the report, samples.

use lib 't/lib';
use Test::LLM;

my $up = Test::LLM::Upstream->new;
my %seen;

sub conf {
    my (%o) = @_;
    my $weights = $o{weights} || [ 50, 50 ];
    my $remember = $o{remember} || 300;
    my $more = $o{more} || '';
    return <<"EOC";
    llm_zone t:16m;
    log_format ab escape=json '{"id":"\$llm_trace_id","variant":"\$llm_variant","experiment":"\$llm_experiment",'
                              '"vote":"\$llm_feedback","of":"\$llm_feedback_id","comment":"\$llm_feedback_comment","error":"\$llm_error"}';
    access_log %%DIR%%/ab.log ab;
    llm_provider a { dialect openai; base_url http://127.0.0.1:%%UP%%/a/v1; breaker off; }
    llm_provider b { dialect openai; base_url http://127.0.0.1:%%UP%%/b/v1; breaker off; }
    llm_model old { provider a; id m; price input=1 output=2; }
    llm_model new { provider b; id m; price input=1 output=4; }
    llm_split s {
        sticky      \$http_x_user_id;
        variant     blue   old  $weights->[0]%;
        variant     green  new  $weights->[1]%;
        fallback    green  blue on=error;
        force       \$http_x_llm_variant allow=127.0.0.1;
        experiment  prompt-2 remember=$remember;
        $more
    }
    llm_split app {
        sticky      \$http_x_user_id;
        variant     here   http://127.0.0.1:%%UP%%  100%;
        variant     there  http://127.0.0.1:%%UP%%    0%;
        experiment  app-1 remember=10;
    }
    server {
        listen 127.0.0.1:%%PORT%%;
        llm_retry off;
        location /app/ { llm_pass app; }
        location /v1/ { llm_pass s; }
        location = /feedback { llm_feedback; }
        location = /closed { deny all; llm_feedback; }
        location /admin/ { llm_admin; }
    }
EOC
}

sub gateway {
    my (%o) = @_;
    $up->reset;
    $up->on("/$_/*" => ok_chat("from $_")) for qw(a b);
    $up->on('/app/*' => reply(200, {}, 'a page'));
    my $gw = Test::LLM::Gateway->new(vars => { UP => $up->port }, conf => conf(%o), workers => $o{workers} || 1);
    return $gw->start;
}

sub ask {
    my ($gw, $user, %o) = @_;
    my %headers = (defined $user ? ('X-User-Id' => $user) : (), %{ $o{headers} || {} });
    my $c = chat($gw, 's', headers => \%headers, $o{stream} ? (stream => JSON::PP::true) : ());
    return wantarray ? ($c->header('x-llm-request-id'), $c->header('x-llm-variant'), $c) : $c;
}

sub vote {
    my ($gw, $id, $score, %more) = @_;
    return $gw->post('/feedback', to_json({ request_id => $id, score => $score, %more }));
}

sub report { my ($gw) = @_; return $gw->get('/admin/experiments/prompt-2')->json }
sub arm { my ($gw, $name) = @_; my ($arm) = grep { $_->{variant} eq $name } @{ report($gw)->{arms} }; return $arm }
sub thumbs { my ($gw, $name) = @_; my $t = arm($gw, $name)->{thumbs}; return "$t->{up}/$t->{down}" }
sub log_lines { my ($gw) = @_; return map { from_json($_) } split /\n/, $gw->access('ab.log') }


# ---- who is counted ------------------------------------------------------------------------

my $gw = gateway(workers => 2);
my (%count, %id, %variant);

for my $user (1 .. 60) {
    for (1 .. 2) {
        my ($id, $variant) = ask($gw, "user-$user");
        $count{$variant}++;
        push @{ $id{$variant} }, $id;
        $variant{$user} //= $variant;
        $count{moved}++ if $variant{$user} ne $variant;
    }
}

my $r = report($gw);
is($r->{name}, 'prompt-2', 'the report has a name');
is($r->{split}, 's', '... a split');
is($r->{baseline}, 'blue', '... a baseline');
is(scalar @{ $r->{arms} }, 2, '... and two arms');
ok(!$count{moved}, 'nobody changed sides');

for my $name (qw(blue green)) {
    my $arm = arm($gw, $name);
    my $users = grep { $_ eq $name } values %variant;
    is($arm->{n}, $count{$name}, "$name: every request was counted once");
    cmp_ok(abs($arm->{units} - $users), '<=', 2, "$name: users were counted once");
    is($arm->{errors}{mean}, 0, "$name: no errors");
    is($arm->{weight}, 50, "$name: its weight");
    is($arm->{tokens}{mean}, 3, "$name: tokens");
    is($arm->{latency}{n}, $count{$name}, "$name: times");
}

is(arm($gw, 'blue')->{cost_per_request}{mean}, 17e-6, 'cost by the price of the model');
is(arm($gw, 'green')->{cost_per_request}{mean}, 23e-6, '... of each arm');
is(arm($gw, 'blue')->{tokens}{verdict}, undef, 'the baseline has no verdict');
is(arm($gw, 'green')->{errors}{verdict}, 'running', 'too early for a verdict');
ok($r->{srm}{ok} && $r->{overlap}{ok} && $r->{valid}, 'the users came as the weights say');

my ($forced) = ask($gw, 'user-1', headers => { 'X-Llm-Variant' => 'green' });
is(arm($gw, 'green')->{n}, $count{green}, 'a forced request is not counted');
is(vote($gw, $forced, 'up')->status, 404, '... nor is a vote for it');

my ($line) = grep { $_->{id} eq $id{green}[0] } log_lines($gw);
is("$line->{variant} $line->{experiment}", 'green prompt-2', 'the assignment stands in the log');
($line) = grep { $_->{id} eq $forced } log_lines($gw);
is($line->{experiment}, '', '... the forced one is in no experiment');

$up->on('/b/*' => reply(500, {}, '{}'));
my ($user) = grep { $variant{$_} eq 'green' } sort keys %variant;
my ($rescued, $by, $c) = ask($gw, "user-$user");
is($c->status . " $by", '200 blue', 'an error that another variant hides');
is(arm($gw, 'green')->{n}, $count{green} + 1, '... is counted where it happened');
cmp_ok(arm($gw, 'green')->{errors}{mean}, '>', 0, '... as an error');
is(arm($gw, 'blue')->{n}, $count{blue}, '... and nowhere else');
vote($gw, $rescued, 'up');
is(thumbs($gw, 'blue') . ' ' . thumbs($gw, 'green'), '1/0 0/0', '... thanks go to who answered');
vote($gw, $rescued, 'down');
is(thumbs($gw, 'blue'), '0/1', '... so does the blame');


# ---- votes ---------------------------------------------------------------------------------

my ($green, @greens) = @{ $id{green} };

$c = vote($gw, $green, 'up', comment => "good\n\"so\"");
is($c->status, 200, 'a vote is taken');
is($c->body, qq[{"request_id":"$green","recorded":true}\n], '... and says nothing about variants');
is(thumbs($gw, 'green'), '1/0', '... it counts for the variant that answered');
vote($gw, $green, 'up');
is(thumbs($gw, 'green'), '1/0', 'the same again changes nothing');
vote($gw, uc $green, 'down');
is(thumbs($gw, 'green'), '0/1', 'another mind moves the counters');
is($gw->post('/feedback', to_json({ response_id => $greens[0], score => 'up' }))->status, 200, 'response_id is the same');
is(thumbs($gw, 'green'), '1/1', '... and counts');

my $t = arm($gw, 'green')->{thumbs};
is($t->{mean}, 50, 'up per vote, in percent');
cmp_ok(abs($t->{votes_per_response} - 2 / ($count{green} + 1)), '<', 1e-5, 'votes per response');

($line) = grep { $_->{vote} eq 'up' && $_->{of} eq $green } log_lines($gw);
is($line->{comment}, "good\n\"so\"", 'the comment stands in the log');
is($line->{error}, '', '... without an error');
($line) = grep { $_->{error} eq 'caller_unknown_request' } log_lines($gw);
is($line->{vote} . $line->{of}, '', 'what was refused stands there as an error');

my $unknown = '0' x 32;
my @bad = (
    [ to_json({ request_id => $unknown, score => 'up' }), 404, 'caller_unknown_request', 'an unknown id' ],
    [ to_json({ request_id => 'chatcmpl-1', score => 'up' }), 400, 'caller_bad_value', 'no id' ],
    [ to_json({ request_id => 7, score => 'up' }), 400, 'caller_bad_value', 'a number' ],
    [ to_json({ score => 'up' }), 400, 'caller_missing_member', 'without an id' ],
    [ to_json({ request_id => $green }), 400, 'caller_missing_member', 'without a score' ],
    [ to_json({ request_id => $green, score => 'better' }), 400, 'caller_bad_value', 'another score' ],
    [ to_json({ request_id => $green, score => 1 }), 400, 'caller_bad_value', 'a score that is a number' ],
    [ to_json({ request_id => $green, score => 'up', comment => {} }), 400, 'caller_bad_value', 'a comment that is no text' ],
    [ qq[{"score":"up","score":"down","request_id":"$green"}], 400, 'caller_duplicate_key', 'two scores' ],
    [ 'score=up', 400, 'caller_invalid_json', 'a form' ],
    [ '', 400, 'caller_invalid_json', 'nothing' ],
    [ to_json({ request_id => $green, score => 'up', comment => 'x' x 17000 }), 413, 'caller_too_large', 'a novel' ],
);

for (@bad) {
    my ($body, $status, $code, $name) = @$_;
    my $c = $gw->post('/feedback', $body);
    is($c->status . ' ' . ($c->header('x-llm-error') // ''), "$status $code", "refused: $name");
    ok($c->json && $c->json->{error}{message}, '... with a reason, as JSON');
}

$c = $gw->http(POST => '/feedback', {}, [ to_json({ request_id => $green, score => 'up', comment => 'x' x 17000 }) ], chunked => 1);
is($c->status, 413, 'refused: a novel without a length');
is(thumbs($gw, 'green'), '1/1', 'none of them was counted');

$c = $gw->get('/feedback');
is($c->status . ' ' . $c->header('allow'), '405 POST', 'votes are posted');
$c = $gw->post('/closed', to_json({ request_id => $green, score => 'up' }));
is($c->status . ' ' . $c->json->{error}{code}, '403 permission_denied', 'access rules hold');


# ---- reload, phases, forgetting -------------------------------------------------------------

my $n = arm($gw, 'green')->{n};
my $phase = report($gw)->{phase};
$gw->reload;
is(arm($gw, 'green')->{n}, $n, 'a reload keeps the arms');
is(report($gw)->{phase}, $phase, '... and the phase');
is(vote($gw, $green, 'up')->status, 200, '... and the requests that are open to votes');
is(thumbs($gw, 'green'), '2/0', '... with their votes');

$c = $gw->http(PUT => '/admin/splits/s', { 'Content-Type' => 'application/json' },
    to_json({ version => $gw->get('/admin/splits/s')->json->{version}, weights => { blue => 60, green => 40 } }));
is($c->status, 200, 'other weights') or diag $c->body;
cmp_ok(report($gw)->{phase}, '>', $phase, '... are another phase');
is(arm($gw, 'green')->{n} . ' ' . thumbs($gw, 'green'), '0 0/0', '... with empty arms');
is(vote($gw, $green, 'down')->status, 200, 'a vote about the phase before is taken');
is(thumbs($gw, 'green'), '0/0', '... and counted nowhere');

$up->on('/b/*' => ok_chat('from b'));
my ($first) = ask($gw, 'user-1');
is(vote($gw, $first, 'up')->status, 200, 'a new request is open to votes');
ask($gw, 'user-2') for 1 .. 310;
is(vote($gw, $first, 'up')->status, 404, '... until remember= newer ones came');
is(vote($gw, (ask($gw, 'user-3'))[0], 'up')->status, 200, '... which are open in turn');

$c = $gw->get('/app/page', { 'X-User-Id' => 'user-1' });
is(vote($gw, $c->header('x-llm-request-id'), 'up')->status, 200, 'answers of applications are open to votes as well');
$t = (grep { $_->{variant} eq $c->header('x-llm-variant') } @{ $gw->get('/admin/experiments/app-1')->json->{arms} })[0];
is("$t->{n} $t->{thumbs}{up}", '1 1', '... and counted');
$up->on('/app/*' => reply(500, {}, 'oops'));
$c = $gw->get('/app/page', { 'X-User-Id' => 'user-1' });
is(vote($gw, $c->header('x-llm-request-id'), 'up')->status, 404, '... but not its errors');

($n) = grep { defined } map { $_->{n} } arm($gw, 'blue');
$gw->reload(conf(remember => 600));
is(arm($gw, 'blue')->{n}, 0, 'another block is another phase');
my ($open) = ask($gw, 'user-9');
$gw->reload(conf(remember => 1200));
is(vote($gw, $open, 'up')->status, 200, 'a table that grew remembers what it held');

$gw->reload(conf(remember => 1200, more => 'sticky $http_x_other;'));
ask($gw, undef) for 1 .. 20;
is(report($gw)->{units}, 0, 'without a key there are no users');
ok(report($gw)->{valid}, '... and no complaint about them');
is(report($gw)->{srm}{p}, undef, '... nothing is known of their ratio');
check($gw);


# ---- samples --------------------------------------------------------------------------------

sub samples { my ($gw, $file) = @_; return map { from_json($_) } split /\n/, $gw->access($file || 'sample.jsonl') }

$gw = gateway(more => 'sample 100% file=%%DIR%%/samples/s.jsonl;', workers => 2);
like($gw->log, qr/\[warn\].*"sample" writes prompts and answers, which may hold personal data, to ".*s.jsonl"/, 'a warning at the start');
mkdir $gw->dir . '/samples';
chmod 0777, $gw->dir . '/samples';

my ($id, $who) = ask($gw, 'user-1');
ok(wait_for(sub { -s $gw->dir . '/samples/s.jsonl' }, 5), 'a request is written');
my ($s) = samples($gw, 'samples/s.jsonl');
is($s->{request_id}, $id, '... with its id');
is("$s->{split} $s->{variant} $s->{experiment} $s->{class}", "s $who prompt-2 ok", '... and its place');
is(from_json($s->{request})->{messages}[0]{content}, 'Say something.', '... the request as text');
is(from_json($s->{answer})->{choices}[0]{message}{content}, 'from ' . ($who eq 'blue' ? 'a' : 'b'), '... the answer as text');
like($s->{time}, qr/^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/, '... the time');
is("$s->{input_tokens} $s->{output_tokens}", '11 3', '... the usage');
is(sprintf('%04o', (stat $gw->dir . '/samples/s.jsonl')[2] & 07777), '0600', '... for nobody else to read');

$up->on("/$_/*" => ok_stream([ "one \"two\" ", "\x{1f600}", "\nthree" ])) for qw(a b);
my ($streamed) = ask($gw, 'user-1', stream => 1);
ok(wait_for(sub { grep { $_->{request_id} eq $streamed } samples($gw, 'samples/s.jsonl') }, 5), 'a stream is written');
($s) = grep { $_->{request_id} eq $streamed } samples($gw, 'samples/s.jsonl');
is($s->{answer}, "one \"two\" \x{1f600}\nthree", '... as the text it made');
ok(!$s->{answer_cut}, '... which is whole');

$up->on("/$_/*" => ok_stream([ map { 'x' x 1000 } 1 .. 70 ])) for qw(a b);
($streamed) = ask($gw, 'user-1', stream => 1);
ok(wait_for(sub { grep { $_->{request_id} eq $streamed } samples($gw, 'samples/s.jsonl') }, 5), 'a long one too');
($s) = grep { $_->{request_id} eq $streamed } samples($gw, 'samples/s.jsonl');
ok(length $s->{answer} > 60000 && length $s->{answer} <= 65536 && $s->{answer_cut}, '... cut at 64 KiB, and said so');

$up->on("/$_/*" => [ [ barrier => 'gone' ], @{ ok_chat('too late') } ]) for qw(a b);
my $big = chat_body('s', user => 'y' x 300_000);
$c = $gw->request(POST => '/v1/chat/completions', { 'X-User-Id' => 'user-1' }, $big);
Test::LLM::Client::run(5, $c, sub { $up->waiting('gone') });
$c->abort;
ok(wait_for(sub { grep { ($_->{class} // '') eq 'client_gone' } samples($gw, 'samples/s.jsonl') }, 5), 'a client that left is written');
$up->release('gone');
($s) = grep { ($_->{class} // '') eq 'client_gone' } samples($gw, 'samples/s.jsonl');
is($s->{request}, substr($big, 0, 262144), '... with the start of a large body');
ok($s->{request_cut}, '... which is said to be cut');

vote($gw, $id, 'down', comment => 'wrong dose');
ok(wait_for(sub { grep { defined $_->{comment} } samples($gw, 'samples/s.jsonl') }, 5), 'a comment is written');
($s) = grep { defined $_->{comment} } samples($gw, 'samples/s.jsonl');
is("$s->{request_id} $s->{variant} $s->{score} $s->{comment}", "$id $who down wrong dose", '... with what it is about');

$up->on("/$_/*" => reply(500, {}, '{}')) for qw(a b);
my ($failed) = ask($gw, 'user-1');
ok(wait_for(sub { grep { $_->{request_id} eq $failed } samples($gw, 'samples/s.jsonl') }, 5), 'a failure is written');
($s) = grep { $_->{request_id} eq $failed } samples($gw, 'samples/s.jsonl');
is($s->{class} . ' ' . ($s->{answer} // 'none'), 'server none', '... without an answer');

$up->on("/$_/*" => reply(200, {}, '{"text":"hello"}')) for qw(a b);
my $form = join "\r\n", '--B', 'Content-Disposition: form-data; name="model"', '', 's', '--B',
    'Content-Disposition: form-data; name="file"; filename="a.wav"', 'Content-Type: audio/wav', '', 'SECRETVOICE' x 10, '--B--', '';
$c = $gw->http(POST => '/v1/audio/transcriptions', { 'Content-Type' => 'multipart/form-data; boundary=B' }, $form);
is($c->status, 200, 'audio') or diag $c->body;
$id = $c->header('x-llm-request-id');
ok(wait_for(sub { grep { $_->{request_id} eq $id } samples($gw, 'samples/s.jsonl') }, 5), '... is written');
($s) = grep { $_->{request_id} eq $id } samples($gw, 'samples/s.jsonl');
is_deeply($s->{request}, { type => 'multipart/form-data; boundary=B', size => length $form }, '... as type and size');
unlike($gw->access('samples/s.jsonl'), qr/SECRETVOICE/, '... and nothing else');
rename $gw->dir . '/samples/s.jsonl', $gw->dir . '/samples/moved';
ask($gw, 'user-1') for 1 .. 4;
ok(wait_for(sub { (() = samples($gw, 'samples/s.jsonl')) == 4 }, 5), 'a file that was moved away is made anew');
check($gw);

$gw = gateway(more => 'sample 100% file=%%DIR%%/samples/s.jsonl max=4k keep=2;', workers => 2);
mkdir $gw->dir . '/samples';
chmod 0777, $gw->dir . '/samples';
ask($gw, "user-$_") for 1 .. 40;
ok(wait_for(sub { -e $gw->dir . '/samples/s.jsonl.2' }, 5), 'files are rotated');
my @files = map { s{.*/}{}r } sort glob $gw->dir . '/samples/*';
is("@files", 's.jsonl s.jsonl.1 s.jsonl.2', '... keep= of them are kept');
is(scalar(grep { -s $gw->dir . "/samples/$_" > 4096 } @files), 0, '... none larger than max=');
is(scalar(grep { !defined $_->{request_id} } map { samples($gw, "samples/$_") } @files), 0, '... every line is whole');
check($gw);

$gw = gateway(more => 'sample 100% file=%%DIR%%/none/s.jsonl;');
$gw->expect_log(qr/llm sample: open\(\) "[^"]+" failed/);
is(ask($gw, 'user-1')->status, 200, 'a file that cannot be written disturbs no request') for 1 .. 5;
is(() = $gw->log =~ /llm sample: /g, 1, '... and is logged once');
check($gw);

$gw = gateway(more => 'sample 0.01% file=%%DIR%%/s.jsonl;');
ask($gw, "user-$_") for 1 .. 20;
cmp_ok(scalar(() = samples($gw, 's.jsonl')), '<', 5, 'a small share is a small share');
check($gw);

my ($code, $text, $log) = Test::LLM::Gateway->new(vars => { UP => 1 }, conf => conf(remember => 900000))->test_conf;
is($code, 1, 'a zone without room for what is to be remembered is an error');
like("$text$log", qr/llm_zone "t" of 16384k is too small for the 900010 requests that experiments remember/, '... that says so');

finish();
