# A request behind a split: which variant, for whom, until when.  What reached
# the provider is the judge of where a request went.

use lib 't/lib';
use Test::LLM;

my $up = Test::LLM::Upstream->new;
my %env = map { ("K$_\_KEY" => "sk-key-000$_-x") } 'a' .. 'd';
my ($dead) = silent_port();
my $gw = Test::LLM::Gateway->new(vars => { UP => $up->port, DEAD => $dead }, env => \%env, workers => 2, conf => <<'EOC')->start;
    llm_zone t:24m;
    log_format llm '$http_x_n|$llm_split|$llm_variant|$llm_assigned_variant|$llm_route|$llm_attempts|$llm_fallbacks';
    access_log %%DIR%%/llm.log llm;
    llm_provider blue  { dialect openai; base_url http://127.0.0.1:%%UP%%/blue/v1; breaker off; }
    llm_provider green { dialect openai; base_url http://127.0.0.1:%%UP%%/green/v1; breaker off; }
    llm_provider red   { dialect openai; base_url http://127.0.0.1:%%DEAD%%/red/v1; breaker off; }
    llm_provider gone  { dialect openai; base_url http://127.0.0.1:%%UP%%/green/v1; enabled until=2020-01-01; }
    llm_model wide   { provider blue; id wide; can chat tools stream json_object; context 100000; }
    llm_model narrow { provider green; id narrow; can chat stream; context 1000; }
    llm_model lost   { provider red; id lost; }
    llm_model huge   { provider blue; id huge; context 100000; }
    llm_model small  { provider green; id small; context 1000; }
    llm_model dark   { provider gone; id dark; }
    llm_route two    { target lost; target narrow; }
    llm_split plain  { sticky $http_x_user $arg_session; variant blue blue 75%; variant green green 25%; }
    llm_split three  { sticky $http_x_user; variant blue blue 50%; variant green green 50%; variant off green 0%;
                       force $http_x_variant allow=127.0.0.1; }
    llm_split shut   { variant blue blue 100%; variant green green 0%; force $http_x_variant allow=10.0.0.0/8; }
    llm_split able   { sticky $http_x_user; variant blue wide 50%; variant green narrow 50%; }
    llm_split dim    { sticky $http_x_user; variant blue wide 50%; variant green dark 50%; }
    llm_split route  { variant blue blue 0%; variant green two 100%; }
    llm_split fall   { variant blue blue 0%; variant green green 100%; fallback green blue; }
    llm_split few    { variant blue blue 0%; variant green green 100%; fallback green blue on=timeout; }
    llm_split round  { variant blue blue 0%; variant green green 100%; fallback green blue; fallback blue green; }
    llm_split size   { variant green small 100%; variant blue huge 0%; variant same small 0%; fallback green blue; fallback blue same; }
    llm_split inside { variant blue blue 100%; internal; }
    server {
        listen 127.0.0.1:%%PORT%%;
        llm_retry 1 backoff=1ms..5ms;
        location /plain/ { llm_pass plain; }
        location /three/ { llm_pass three; }
        location /shut/  { llm_pass shut; }
        location /able/  { llm_pass able; }
        location /dim/   { llm_pass dim; }
        location /route/ { llm_pass route; }
        location /fall/  { llm_pass fall; }
        location /few/   { llm_pass few; }
        location /round/ { llm_pass round; }
        location /size/  { llm_pass size; }
        location /quiet/ { llm_pass plain; llm_response_headers id; }
        location /name/  { llm_pass $llm_model; }
    }
EOC

my $n = 0;

sub ask {
    my ($split, %o) = @_;
    my %headers = (%{ delete $o{headers} || {} }, 'X-N' => ++$n);
    my $query = delete $o{query} || '';
    return chat($gw, delete $o{model} || 'm', path => "/$split/v1/chat/completions$query", headers => \%headers, %o);
}

sub seen { my ($name) = @_; return scalar $up->received("/$name/*") }
sub usual { $up->reset; $up->on("/$_/*" => ok_chat($_)) for qw(blue green) }
sub variant { $_[0]->header('x-llm-variant') // '' }

sub logged {
    my ($line) = (wait_for(sub { grep { /^$n\|/ } split /\n/, $gw->access('llm.log') }) ? grep { /^$n\|/ } split /\n/, $gw->access('llm.log') : '');
    return $line // '';
}

# ---- by the sticky key ---------------------------------------------------------------------

usual();
my %of;
my @users = map { "user-$_" } 1 .. 400;

sub assign {
    my ($split, $header, @who) = @_;
    my @c = $gw->many(10, map { [ POST => "/$split/v1/chat/completions", { $header => $_ }, chat_body('m') ] } @who);
    return map { ($who[$_] => variant($c[$_])) } 0 .. $#who;
}

%of = assign('plain', 'X-User', @users);
my $green = grep { $_ eq 'green' } values %of;
is((grep { /^(?:blue|green)$/ } values %of), 400, 'every answer names its variant');
ok($green > 400 * 0.25 - 35 && $green < 400 * 0.25 + 35, "a quarter of 400 users: $green");
is(seen('green'), $green, '... as many as the provider saw');
is_deeply({ assign('plain', 'X-User', @users[0 .. 99]) }, { map { ($_ => $of{$_}) } @users[0 .. 99] }, 'a user stays in the variant');
$gw->reload;
is_deeply({ assign('plain', 'X-User', @users[0 .. 99]) }, { map { ($_ => $of{$_}) } @users[0 .. 99] }, '... over a reload');
$gw->quit;
$gw->start;
is_deeply({ assign('plain', 'X-User', @users[0 .. 99]) }, { map { ($_ => $of{$_}) } @users[0 .. 99] }, '... and over a restart');

my ($blue_user) = grep { $of{$_} eq 'blue' } @users;
my ($green_user) = grep { $of{$_} eq 'green' } @users;
is(variant(ask('plain', query => "?session=$green_user")), 'green', 'the second expression, where the first is absent');
is(variant(ask('plain', query => "?session=$green_user", headers => { 'X-User' => '' })), 'green', '... or empty');
is(variant(ask('plain', query => "?session=$green_user", headers => { 'X-User' => $blue_user })), 'blue', '... not where it has a value');

my %chance;
$chance{ variant(ask('plain')) }++ for 1 .. 60;
is(join(' ', sort keys %chance), 'blue green', 'without a key: by chance');

my $long = 'x' x 3000 . $green_user;
is(variant(ask('plain', headers => { 'X-User' => $long })), variant(ask('plain', headers => { 'X-User' => $long })), 'a long key is a key');

# ---- what a client and a log see --------------------------------------------------------------

my $r = ask('plain', headers => { 'X-User' => $green_user });
is(logged(), "$n|plain|green|green|green|1|0", 'the variables');
$r = ask('quiet', headers => { 'X-User' => $green_user });
is($r->header('x-llm-variant'), undef, 'llm_response_headers id says nothing of variants');
$r = ask('name', model => 'plain', headers => { 'X-User' => $green_user });
is(variant($r), 'green', 'llm_pass $llm_model finds a split');
is($r->json->{choices}[0]{message}{content}, 'green', '... and its variant answers');
is(ask('name', model => 'inside')->status, 404, '... not one that is internal');
like($gw->log, qr/llm attempt 1: variant=green provider=green/, 'the line of an attempt names the variant') if $gw->log =~ /llm attempt 1/;

$up->on('/green/*' => ok_stream([ 'gr', 'een' ]));
$r = ask('plain', stream => JSON::PP::true(), headers => { 'X-User' => $green_user });
is(variant($r), 'green', 'a stream has the header, too');
is(Test::LLM::Sse::text(Test::LLM::Sse::events($r)), 'green', '... and its content');

# ---- by hand ---------------------------------------------------------------------------------

usual();
my ($three_blue) = grep { variant(ask('three', headers => { 'X-User' => $_ })) eq 'blue' } @users[0 .. 30];
is(variant(ask('three', headers => { 'X-User' => $three_blue, 'X-Variant' => 'green' })), 'green', 'forced');
is(variant(ask('three', headers => { 'X-User' => $three_blue, 'X-Variant' => 'off' })), 'off', '... also to a variant without weight');
is(variant(ask('three', headers => { 'X-User' => $three_blue, 'X-Variant' => 'purple' })), 'blue', '... an unknown name is ignored');
is(variant(ask('three', headers => { 'X-User' => $three_blue, 'X-Variant' => '' })), 'blue', '... and an empty one');
is(variant(ask('shut', headers => { 'X-Variant' => 'green' })), 'blue', 'who is not on the list forces nothing');

# ---- who can serve it ---------------------------------------------------------------------------

my ($able_green) = grep { variant(ask('able', headers => { 'X-User' => $_ })) eq 'green' } @users[0 .. 30];
my @tools = (tools => [ { type => 'function', function => { name => 'f', parameters => { type => 'object' } } } ]);
$r = ask('able', headers => { 'X-User' => $able_green }, @tools);
is($r->status, 200, 'a request that the variant cannot serve');
is(variant($r), 'blue', '... goes to one that can');
is(logged(), "$n|able|blue|blue|wide|1|0", '... from the start');
$r = ask('able', headers => { 'X-User' => $able_green }, messages => [ { role => 'user', content => 'long ' x 2000 } ]);
is(variant($r), 'blue', 'so does one that is too long for it');
$r = ask('able', headers => { 'X-User' => $able_green }, messages => [ { role => 'user', content => [ { type => 'image_url', image_url => { url => 'data:,' } } ] } ]);
is($r->status, 400, 'what none of them can do is refused');
is($r->header('x-llm-error'), 'caller_unsupported', '... as without a split');
is(join(' ', sort { $a cmp $b } keys %{ { reverse assign('dim', 'X-User', @users[0 .. 29]) } }), 'blue', 'a variant that is switched off gets nothing');

# ---- retries stay, fallbacks are asked for ---------------------------------------------------------

usual();
$r = ask('route');
is(variant($r), 'green', 'a target that fails: the next one of the variant');
is(logged(), "$n|route|green|green|two|2|1", '... which stays the same') or diag $r->head;
is(seen('blue'), 0, '... nobody else is asked');

usual();
$up->on('/green/*' => reply(500, {}, '{"error":{"message":"down"}}'));
$r = ask('fall');
is($r->status, 200, 'a variant has nothing left');
is(variant($r), 'blue', '... its fallback serves');
is(logged(), "$n|fall|blue|green|blue|3|1", '... and the log knows both');
is(seen('green'), 2, '... after the retries of its own');
$r = ask('few');
is($r->status, 502, 'on= does not have this class');
is(variant($r), 'green', '... the error is of the variant that failed');
is(logged(), "$n|few|green|green|green|2|0", '... and so is the log');
$up->on("/$_/*" => reply(500, {}, '{"error":{"message":"down"}}')) for qw(blue green);
$up->forget;
$r = ask('round');
is($r->status, 502, 'nobody is asked twice');
is(variant($r), 'blue', '... the last one names itself');
is(seen('green') . seen('blue'), '22', '... two sends each');
$up->on('/green/*' => reply(400, {}, '{"error":{"message":"bad temperature","type":"invalid_request_error"}}'));
$up->forget;
$r = ask('fall');
is($r->status, 400, 'the request itself was refused');
is(seen('blue'), 0, '... which no other variant is asked about');

my $too_long = reply(400, {}, '{"error":{"message":"maximum context length is 1000 tokens","type":"invalid_request_error","code":"context_length_exceeded"}}');
usual();
$up->on('/green/*' => $too_long);
$r = ask('size');
is($r->status, 200, 'too long for this variant, not for one with a larger context');
is(variant($r), 'blue', '... which serves it');
$up->on('/blue/*' => $too_long);
$up->forget;
$r = ask('size');
is($r->status, 400, 'too long for the largest');
is(seen('green'), 1, '... smaller ones are not asked again');

# ---- a deadline, a client that leaves -------------------------------------------------------------

usual();
$up->on('/green/*' => [ [ barrier => 'never' ], @{ ok_chat('late') } ]);
my ($c) = start_all($gw, [ POST => '/fall/v1/chat/completions', {}, chat_body('m') ]);
run_all(10, $c, sub { $up->waiting('never') == 1 });
$c->abort;
ok(wait_for(sub { $gw->access('llm.log') =~ /\|fall\|green\|green\|green\|1\|0\n\z/ }), 'a client that leaves is not sent elsewhere') or diag $gw->access('llm.log');
is(seen('blue'), 0, '... nor is anybody asked for it');
$up->release('never');

finish();
