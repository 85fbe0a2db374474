# Providers, models and keys are switched on and off at run time: in all workers
# as soon as the answer is there, over a reload and, with llm_state, a restart.

use lib 't/lib';
use Test::LLM;

my $up = Test::LLM::Upstream->new;
my %env = map { ("K$_\_KEY" => "sk-key-000$_-x") } 'a' .. 'd';
my $workers = 4;

my $conf = <<'EOC';
    llm_zone t:4m;
    llm_state %%DIR%%/state;
    llm_key_pool one { select in_order; key env:Ka_KEY name=alpha; key env:Kb_KEY name=beta; cooldown off; }
    llm_key_pool two { key env:Kc_KEY name=alpha; key env:Kd_KEY name=org/gamma; }
    llm_provider a { dialect openai; base_url http://127.0.0.1:%%UP%%/a/v1; keys one; breaker off; }
    llm_provider b { dialect openai; base_url http://127.0.0.1:%%UP%%/b/v1; keys two; }
    llm_provider old { dialect mock; enabled off; }
    llm_provider bare { dialect openai; base_url http://127.0.0.1:%%UP%%/n/v1; key env:NONE_KEY optional; }
    llm_model m { provider a; id m-1; }
    llm_model family/n { provider b; id n-1; }
    llm_model was { provider old; id w-1; }
    llm_route r { target m; target family/n; }
    server {
        listen 127.0.0.1:%%PORT%% reuseport;
        add_header X-Pid $pid always;
        llm_retry off;
        location /old/ { llm_pass old; }
        location /was/ { llm_pass was; }
        location /admin/ { llm_admin; }
        location / { llm_pass r; }
    }
EOC

my $gw = Test::LLM::Gateway->new(vars => { UP => $up->port }, env => \%env,
    workers => $workers, conf => $conf)->start;

$up->on('/a/*' => ok_chat('from a'));
$up->on('/b/*' => ok_chat('from b'));

my @json = ('Content-Type' => 'application/json');

sub put {
    my ($path, $body, %headers) = @_;
    return $gw->http(PUT => "/admin/$path", { @json, %headers },
                     ref $body ? to_json($body) : $body);
}

sub switch {
    my ($path, $on) = @_;
    my $r = put($path, { enabled => $on ? JSON::PP::true : JSON::PP::false });
    return $r->status == 200 ? $r->json : undef;
}

sub item {
    my ($list, $name) = @_;
    my $r = $gw->get("/admin/$list");
    return (grep { ($_->{pool} // '') . "/$_->{name}" eq $name
                   || $_->{name} eq $name } @{ $r->json->{$list} })[0];
}

# what answers, from every worker at once
sub served {
    my (%seen, %pid);
    for my $round (1 .. 20) {
        my @r = $gw->many(20, map {
            [ POST => '/v1/chat/completions', { @json }, chat_body('x') ]
        } 1 .. 16);
        for my $r (@r) {
            $pid{ $r->header('x-pid') // '?' }++;
            $seen{ $r->status == 200
                ? $r->json->{choices}[0]{message}{content} : $r->status }++;
        }
        last if keys %pid >= $workers;
    }
    return join ' ', sort(keys %seen), scalar keys %pid;
}

sub refused {
    my ($r, $status, $code, $re, $name) = @_;
    is($r->status, $status, "$name: $status");
    my $error = ($r->json || {})->{error} || {};
    is($error->{code}, $code, "... $code");
    like($error->{message}, $re, '... says why');
}


# ---- what there is -------------------------------------------------------------

my $p = item('providers', 'a');
is_deeply($p, { name => 'a', enabled => JSON::PP::true,
    enabled_in_file => JSON::PP::true, enabled_until => undef,
    breaker => 'off', inflight => 0, waiting => 0, pool => 'one', keys => 2,
    keys_usable => 2,
    probe => 'off' }, 'GET providers');
is(item('providers', 'old')->{enabled}, JSON::PP::false, '... one that is off');
is_deeply(item('models', 'm'), { name => 'm', provider => 'a', id => 'm-1',
    enabled => JSON::PP::true, enabled_in_file => JSON::PP::true,
    enabled_until => undef }, 'GET models');
is_deeply(item('keys', 'one/beta'), { pool => 'one', name => 'beta',
    enabled => JSON::PP::true, state => 'active', until => undef },
    'GET keys');
is(scalar @{ $gw->get('/admin/keys')->json->{keys} }, 4, '... of all pools');
is(scalar @{ $gw->get('/admin/keys?pool=two')->json->{keys} }, 2, '... of one');
is(served(), "from a $workers", 'a serves, in all workers');


# ---- off and on -----------------------------------------------------------------

my $doc = switch('providers/a', 0);
is($doc->{enabled}, JSON::PP::false, 'a provider goes off');
is($doc->{enabled_in_file}, JSON::PP::true, '... the file says otherwise');
is(served(), "from b $workers", '... all workers know');
switch('providers/a', 1);
is(served(), "from a $workers", '... and on');

is(switch('models/m', 0)->{enabled}, JSON::PP::false, 'a model goes off');
is(served(), "from b $workers", '... all workers know');
is(switch('models/family/n', 0)->{name}, 'family/n', 'the other as well');
is(served(), "503 $workers", '... nobody is left');
switch("models/$_", 1) for 'm', 'family/n';
is(served(), "from a $workers", 'on again');

$up->forget;
is(switch('keys/beta', 0)->{state}, 'off', 'a key goes off, by its name');
is(switch('keys/one/alpha', 0)->{enabled}, JSON::PP::false,
    '... another by pool and name');
is(served(), "from b $workers", 'a pool without a key is passed over');
is(scalar(grep { ($_->{key} // '') =~ /000[ab]/ } $up->received('/a/*')), 0,
    '... its keys were not used');
is(item('providers', 'a')->{keys_usable}, 0, '... none is usable');
switch('keys/beta', 1);
is(served(), "from a $workers", 'one key on');
is_deeply([ sort keys %{ { map { $_->{key} => 1 } $up->received('/a/*') } } ],
    ['sk-key-000b-x'], '... the one that was meant');
switch('keys/one/alpha', 1);
is(switch('keys/org/gamma', 0)->{pool}, 'two', 'a name with a slash');
switch('keys/two/org/gamma', 1);
is(item('keys', 'org/gamma')->{enabled}, JSON::PP::true, '... with its pool');

is($gw->http(POST => '/old/v1/chat/completions', { @json },
    chat_body('x'))->status, 503, 'what the file switches off is off');
is(switch('providers/old', 1)->{enabled}, JSON::PP::true, '... can be on');
is($gw->http(POST => '/old/v1/chat/completions', { @json },
    chat_body('x'))->status, 200, '... and serves');
is($gw->http(POST => '/was/v1/chat/completions', { @json },
    chat_body('x'))->status, 200, '... so does its model');
switch('providers/old', 0);


# ---- mistakes -------------------------------------------------------------------

refused(put('providers/none', '{"enabled":false}'), 404, 'not_found',
    qr/no provider "none"/, 'an unknown provider');
refused(put('models/none', '{"enabled":false}'), 404, 'not_found',
    qr{no model "none"; GET /admin/models lists them}, 'an unknown model');
refused(put('keys/none', '{"enabled":false}'), 404, 'not_found',
    qr/no key "none"/, 'an unknown key');
refused($gw->get('/admin/keys?pool=none'), 404, 'not_found',
    qr/no pool "none"/, 'an unknown pool');
refused(put('keys/alpha', '{"enabled":false}'), 409, 'ambiguous',
    qr{2 pools have a key "alpha": write POOL/NAME}, 'two keys of one name');
refused(put('providers/bare', '{"enabled":true}'), 409, 'no_key',
    qr/no key/, 'a provider without a key');
refused(put('providers/a', '{}'), 400, 'enabled_missing', qr/"enabled"/,
    'nothing to do');
refused(put('providers/a', '{"enabled":"off"}'), 400, 'invalid_member',
    qr/true or false/, 'a word');
refused(put('providers/a', '{"enabled":false,"Enabled":true}'), 400,
    'unknown_member', qr/"Enabled"/, 'a member too many');
refused(put('providers/a', '{"enabled":false,"enabled":true}'), 400,
    'duplicate_member', qr/"enabled"/, 'a member twice');
refused(put('providers/a', to_json({ enabled => JSON::PP::false,
        reason => 'x' x 501 })), 400, 'invalid_member', qr/500/,
    'a long reason');
is(item('providers', 'a')->{enabled}, JSON::PP::true, 'nothing was changed');


# ---- the audit trail --------------------------------------------------------------

sub audit { $gw->get('/admin/audit' . ($_[0] // ''))->json->{entries} }

is((grep { $_->{key} } @{ audit() })[-1]{key}, 'two/org/gamma',
    'a key by pool and name');

my $before = audit()->[-1]{seq};
put('providers/a', { enabled => JSON::PP::false, reason => "a \"test\"\n" },
    'X-Llm-Actor' => 'ann@example.org');
put('providers/a', { enabled => JSON::PP::true },
    'X-Llm-Actor' => "bob<script>\x01" . 'x' x 200);
put('providers/a', { enabled => JSON::PP::true });

my @entries = grep { $_->{seq} > $before } @{ audit() };
is(scalar @entries, 2, 'one entry for each change');
is($entries[0]{actor}, 'admin 127.0.0.1 ann@example.org', '... who');
is($entries[0]{action}, 'disable', '... what');
is($entries[0]{provider}, 'a', '... of what');
is_deeply($entries[0]{reason}, { text => "a \"test\"\n" }, '... why');
like($entries[0]{request} // '', qr/^[0-9a-f]{32}$/, '... in which request');
like($entries[0]{time}, qr/^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/, '... when');
like($entries[1]{actor}, qr/^admin 127\.0\.0\.1 bob_script__x{5,}$/,
    'a name is made harmless');
cmp_ok(length $entries[1]{actor}, '<', 100, '... and cut');
is($entries[1]{prev_hash}, $entries[0]{hash}, 'the entries are a chain');

is(scalar @{ audit('?limit=1') }, 1, 'the newest entry alone');
is(audit('?limit=1')->[0]{seq}, $entries[1]{seq}, '... is the last');
refused($gw->get('/admin/audit?limit=0'), 400, 'invalid_limit', qr/limit/,
    'no entries');
refused($gw->get('/admin/audit?limit=x'), 400, 'invalid_limit', qr/limit/,
    'not a number of entries');
like($gw->log, qr/llm admin: provider "a" off by admin 127\.0\.0\.1 ann/,
    'a change is in the log');


# ---- what survives ----------------------------------------------------------------

switch('providers/a', 0);
switch('keys/org/gamma', 0);
switch('models/was', 0);
ok($gw->reload, 'reload');
is(served(), "from b $workers", 'a provider stays off');
is(item('keys', 'org/gamma')->{enabled}, JSON::PP::false, '... a key as well');


$gw->quit;
$gw->start;
is(served(), "from b $workers", 'after a restart as well');
is(item('keys', 'org/gamma')->{enabled}, JSON::PP::false, '... a key');
is(item('models', 'was')->{enabled}, JSON::PP::false, '... a model');
switch('providers/a', 1);
is(served(), "from a $workers", 'on again');


# ---- nothing to administrate --------------------------------------------------------

my $empty = Test::LLM::Gateway->new(conf => <<'EOC')->start;
    server {
        listen 127.0.0.1:%%PORT%%;
        location /admin/ { llm_admin; }
        location /metrics { llm_metrics; }
    }
EOC

for (['splits'], ['providers'], ['models'], ['keys'], ['audit', 'entries'])
{
    my ($path, $member) = @$_;
    my $r = $empty->get("/admin/$path");
    is($r->status, 200, "without a provider: GET $path");
    is_deeply($r->json, { ($member || $path) => [] }, '... is empty');
}
is($empty->http(PUT => '/admin/providers/x', { @json },
    '{"enabled":true}')->status, 404, '... there is nothing to change');
is($empty->get('/metrics')->status, 200, '... metrics');

finish;
