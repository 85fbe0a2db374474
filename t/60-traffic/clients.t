# Clients at run time: made, changed, rotated and deleted through the admin API,
# in all workers as soon as the answer is there, over reloads and restarts.

use lib 't/lib';
use Test::LLM;

use Digest::SHA qw(sha256_hex);

my $FILE = 'sk-llm-file-client-000000000000';
my $doc = { clients => [ { id => 'filed', name => 'Of the file', key_sha256 => sha256_hex($FILE),
                           prefix => 'sk-llm-file', user => 'ann', models => [ 'm' ] },
                         { id => 'other', key_sha256 => sha256_hex('sk-llm-other-0001') } ],
            users => [ { id => 'ann', org => 'acme' } ] };

my $workers = 4;
my $gw = Test::LLM::Gateway->new(workers => $workers, secrets => [ $FILE ],
    files => { 'clients.json' => to_json($doc) }, conf => <<'EOC')->start;
    llm_zone t:4m;
    llm_state %%DIR%%/state;
    llm_clients clients.json;
    log_format who '$llm_client|$llm_user|$llm_org|$llm_priority|$llm_client_meta_team';
    llm_provider p { dialect mock; }
    llm_model m { provider p; }
    llm_model n { provider p; }
    server {
        listen 127.0.0.1:%%PORT%% reuseport;
        add_header X-Pid $pid always;
        add_header X-Who "$llm_client/$llm_user/$llm_org/$llm_priority/$llm_client_meta_team" always;
        location /admin/ { llm_admin; }
        location /v1/ { llm_auth on; llm_pass $llm_model; }
        location /slow/v1/ { llm_auth on; llm_pass m; }
    }
EOC

my @json = ('Content-Type' => 'application/json');

sub call {
    my ($method, $path, $body) = @_;
    return $gw->http($method => "/admin/$path", { @json },
                     $method eq 'GET' ? () : defined $body ? to_json($body) : '');
}

sub ask { my ($key, $model) = @_;
          return $gw->http(POST => '/v1/chat/completions', { @json, Authorization => "Bearer $key" },
                           chat_body($model // 'm')) }

# what that key gets, from every worker at once
sub served {
    my ($key) = @_;
    my (%seen, %pid);
    for my $round (1 .. 20) {
        for my $r ($gw->many(20, map { [ POST => '/v1/chat/completions',
            { @json, Authorization => "Bearer $key" }, chat_body('m') ] } 1 .. 16))
        {
            $pid{ $r->header('x-pid') // '?' }++;
            $seen{ $r->status }++;
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
    like($error->{message} // '', $re, '... says why');
}


# ---- what there is --------------------------------------------------------------

my $list = call(GET => 'clients')->json;
is($list->{total}, 2, 'GET clients');
is_deeply($list->{clients}[0], { id => 'filed', name => 'Of the file', user => 'ann', models => [ 'm' ],
    keys => [ { prefix => 'sk-llm-file', expires => undef } ], source => 'file', version => 0 },
    '... one of the file, without its hash');
is(scalar @{ call(GET => 'clients?from=1&limit=5')->json->{clients} }, 1, '... from the second on');
is(scalar @{ call(GET => 'clients?limit=1')->json->{clients} }, 1, '... one');
is(call(GET => 'users/ann')->json->{org}, 'acme', 'GET users/ID');
refused(call(GET => 'clients/nobody'), 404, 'not_found', qr/no client "nobody"; GET \/admin\/clients lists/, 'nobody');
refused(call(GET => 'clients?limit=x'), 400, 'invalid_limit', qr/"limit" must be a number/, 'a limit');


# ---- a new one --------------------------------------------------------------------

my $r = call(POST => 'clients', { id => 'app', name => 'An app', user => 'ann', priority => 'high',
                                  models => [ 'm' ], limits => [ '1000r/m' ], metadata => { team => 'x' } });
is($r->status, 201, 'POST clients');
is($r->header('cache-control'), 'no-store', '... not to be stored');
my $new = $r->json;
my $key = delete $new->{key};
like($key, qr/^sk-llm-[0-9A-Za-z]{40}$/, '... a key');
cmp_ok(delete $new->{version}, '>', 1_700_000_000_000, '... a version');
is_deeply($new, { id => 'app', name => 'An app', user => 'ann', priority => 'high', models => [ 'm' ],
    limits => [ '1000r/m' ], metadata => { team => 'x' }, source => 'admin',
    keys => [ { prefix => substr($key, 0, 11), expires => undef } ] }, '... the record');
is(served($key), "200 $workers", '... all workers know it');
is(ask($key)->header('x-who'), 'app/ann/acme/high/x', '... who it is');
is(ask($key, 'n')->status, 403, '... what it may use');
unlike(call(GET => 'clients/app')->body, qr/\Q$key\E|sha256/, '... its key is not shown again');
is(call(GET => 'clients')->json->{total}, 3, '... it is listed');

my $plain = call(POST => 'clients')->json;
like($plain->{id}, qr/^client-[0-9a-f]{8}$/, 'without a body: an id is made');
is(ask($plain->{key})->status, 200, '... and a key');
is(call(POST => 'clients', { id => 'hashed', key_sha256 => sha256_hex('sk-own-key-00001'), prefix => 'sk-own' })
    ->json->{key}, undef, 'with a hash: no key is made');
is(ask('sk-own-key-00001')->status, 200, '... it is the one');

refused(call(POST => 'clients', { id => 'app' }), 409, 'exists', qr/"app" already/, 'twice');
refused(call(POST => 'clients', { id => 'filed' }), 409, 'exists', qr/"filed"/, 'one of the file');
refused(call(POST => 'clients', { id => 'x', key_sha256 => sha256_hex($FILE) }), 409, 'key_in_use',
    qr/another client/, 'a key of another');
refused(call(POST => 'clients', { id => 'x', modells => [] }), 400, 'unknown_member', qr/"modells"/, 'a member');
refused(call(POST => 'clients', { id => 'x', models => [ '~(' ] }), 400, 'invalid_member',
    qr/"models" has "~\(", which is no regular expression/, 'a pattern');
refused(call(POST => 'clients', { id => 'x', limits => [ 'lots' ] }), 400, 'invalid_member',
    qr/"limits" has "lots", which is no limit/, 'a limit of it');
refused(call(POST => 'clients', { id => 5 }), 400, 'invalid_member', qr/"id" must be a string/, 'an id');
refused(call(DELETE => 'clients'), 405, 'method_not_allowed', qr/it takes GET, HEAD, POST/, 'a method');
refused(call(POST => 'clients/app'), 405, 'method_not_allowed', qr/GET, HEAD, PUT, DELETE/, 'another');


# ---- changed ----------------------------------------------------------------------

$r = call(PUT => 'clients/app', { disabled => JSON::PP::true, reason => 'leaked' });
is($r->status, 200, 'disabled');
is(served($key), "401 $workers", '... in all workers');
is($r->json->{name}, 'An app', '... the rest stays');
call(PUT => 'clients/app', { disabled => undef, models => undef, priority => 'low' });
is(served($key), "200 $workers", 'enabled again');
is(ask($key, 'n')->status, 200, '... null takes a member out');
is(ask($key)->header('x-who'), 'app/ann/acme/low/x', '... another one changed');
refused(call(PUT => 'clients/app', { id => 'new' }), 400, 'invalid_member', qr/cannot be changed/, 'its id');
refused(call(PUT => 'clients/nobody', {}), 404, 'not_found', qr/nobody/, 'nobody');
my $version = call(GET => 'clients/app')->json->{version};
refused(call(PUT => 'clients/app', { name => 'x', version => $version - 1 }), 412, 'version_mismatch',
    qr/version $version by now/, 'an old version');
is(call(PUT => 'clients/app', { name => 'x', version => $version })->status, 200, '... the one of now');

is(call(PUT => 'clients/filed', { models => [ 'n' ] })->json->{source}, 'admin', 'one of the file');
is(ask($FILE)->status, 403, '... is changed');
is(ask($FILE, 'n')->status, 200, '... keeps its key');
is(call(GET => 'clients')->json->{total}, 5, '... and is listed once');

is(call(PUT => 'orgs/acme', { name => 'Acme', timezone => 'Europe/Berlin', budgets => [ '5usd/d' ] })->status, 200,
    'an organisation is made by PUT');
refused(call(PUT => 'orgs/acme', { timezone => 'Europe/Nowhere' }), 400, 'invalid_member',
    qr/"timezone" is no time zone/, 'a time zone');
is(call(PUT => 'users/ann', { org => 'other' })->json->{org}, 'other', 'a user is changed');
is(ask($key)->header('x-who'), 'app/ann/other/low/x', '... for its clients');


# ---- limits of a record ---------------------------------------------------------------

my $few = call(POST => 'clients', { id => 'few', org => 'poor', limits => [ '2r/m' ] })->json->{key};
is(join(' ', map { ask($few)->status } 1 .. 3), '200 200 429', 'a limit of a record holds');
call(PUT => 'clients/few', { limits => [ '4r/m' ] });
is(join(' ', map { ask($few)->status } 1 .. 3), '200 200 429', '... another one at once, with what was used');
call(PUT => 'clients/few', { limits => undef });
is(ask($few)->status, 200, '... until it is gone');
call(PUT => 'orgs/poor', { limits => [ '1r/h' ] });
is(join(' ', map { ask($few)->status } 1 .. 2), '200 429', 'a limit of its organisation');
call(DELETE => "$_") for 'clients/few', 'orgs/poor';


# ---- rotated ------------------------------------------------------------------------

$r = call(POST => 'clients/app/rotate', { grace => '1h', reason => 'a year is over' })->json;
my $second = $r->{key};
isnt($second, $key, 'rotate: another key');
is(scalar @{ $r->{keys} }, 2, '... the old one is there');
like($r->{keys}[1]{expires}, qr/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/, '... until');
is(ask($_)->status, 200, '... both work') for $key, $second;
my $third = call(POST => 'clients/app/rotate')->json->{key};
is(served($second), "401 $workers", 'without grace: the old ones end');
is(ask($key)->status, 401, '... all');
is(served($third), "200 $workers", '... the new one works');
refused(call(POST => 'clients/app/rotate', { grace => 'soon' }), 400, 'invalid_member', qr/"grace"/, 'a grace');
refused(call(POST => 'clients/nobody/rotate'), 404, 'not_found', qr/nobody/, 'nobody');
my $file_key = call(POST => 'clients/filed/rotate', { grace => '10m' })->json->{key};
is(ask($_, 'n')->status, 200, 'one of the file rotates as well') for $file_key, $FILE;
for (1 .. 9) { $file_key = call(POST => 'clients/filed/rotate', { grace => '10m' })->json->{key} }
is(scalar @{ call(GET => 'clients/filed')->json->{keys} }, 8, '... 8 keys at most');
is(ask($file_key, 'n')->status, 200, '... the newest among them');


# ---- deleted ------------------------------------------------------------------------

is(call(DELETE => 'clients/hashed')->json->{deleted}, JSON::PP::true, 'DELETE');
is(served('sk-own-key-00001'), "401 $workers", '... in all workers');
is(call(GET => 'clients/hashed')->status, 404, '... gone');
is(call(DELETE => 'clients/hashed')->status, 404, '... once');
is(call(DELETE => 'clients/other', { reason => 'left' })->status, 200, 'one of the file');
is(ask('sk-llm-other-0001')->status, 401, '... is gone');
is(call(DELETE => 'users/ann')->status, 200, 'a user');
is(ask($third)->header('x-who'), 'app/ann//low/x', '... its clients keep the name');


# ---- the trail -------------------------------------------------------------------------

my $audit = call(GET => 'audit?limit=200')->json->{entries};
my ($change) = grep { $_->{action} eq 'change' && ($_->{client} // '') eq 'app' } @$audit;
is_deeply($change->{members}, [ 'disabled' ], 'the audit trail names members');
is($change->{reason}{text}, 'leaked', '... and reasons');
is(join(' ', map { $_->{action} } grep { ($_->{client} // '') eq 'app' } @$audit),
    'create change change change rotate rotate', '... all changes');
my $hash = sha256_hex($third);
unlike(to_json($audit), qr/\Q$third\E|$hash/, '... no secret');


# ---- reload and restart ---------------------------------------------------------------

my $shown = call(GET => 'clients')->body;
$gw->reload;
is(call(GET => 'clients')->body, $shown, 'a reload changes nothing');
is(served($third), "200 $workers", '... the new one works');
is(ask('sk-llm-other-0001')->status, 401, '... the deleted one is gone');

my $state = "$gw->{dir}/state/state.json";
wait_for(sub { -s $state && ((stat $state)[9] // 0) > 0 });
$gw->quit;
is((stat $state)[2] & 07777, 0600, 'the state file is for its owner');
{
    open my $fh, '<', $state or die;
    local $/;
    my $text = readline $fh;
    unlike($text, qr/\Q$_\E/, '... no key in it') for $third, $file_key;
    like($text, qr/"parties":\[\{/, '... but records');
}
$gw->start;
is(call(GET => 'clients')->body, $shown, 'a restart changes nothing');
is(served($third), "200 $workers", '... the new one works');
is(ask('sk-llm-other-0001')->status, 401, '... the deleted one is gone');
is(call(GET => 'orgs/acme')->json->{timezone}, 'Europe/Berlin', '... the organisation is there');


# ---- while requests run -------------------------------------------------------------------

my @busy = map { Test::LLM::Client->start(port => $gw->port, method => 'POST', path => '/v1/chat/completions',
    headers => { @json, Authorization => "Bearer $third" }, body => chat_body('m'), hold => 250) } 1 .. 20;
wait_for(sub { Test::LLM::Client::run(0.2, @busy, sub { 0 }); 1 });
call(PUT => 'clients/app', { name => "n$_" }) for 1 .. 5;
call(DELETE => 'clients/app');
$_->send_rest for @busy;
Test::LLM::Client::run(20, @busy);
is(join(' ', map { $_->status } @busy), join(' ', (200) x 20), 'who was let in is served to the end');
is(ask($third)->status, 401, '... then nobody');


# ---- many, in a small zone -------------------------------------------------------------------

my ($made, $last) = (0);
for my $n (1 .. 3000) {
    $last = call(PUT => "orgs/o-$n", { name => 'x' x 255, metadata => { map { $_ => 'y' x 200 } 1 .. 10 } });
    last if $last->status != 200;
    $made++;
}
refused($last, 507, 'zone_full', qr/llm_zone "t" has no room/, 'a full zone');
cmp_ok($made, '>', 100, "... after $made");
is(call(DELETE => 'orgs/o-1')->status, 200, '... what is there can be deleted');
is(ask($plain->{key})->status, 200, '... and clients work');

finish;
