# Virtual keys: who is let in, who is not and what is said to them; what a client
# may use; and that no key of ours goes on to a provider or an application.

use lib 't/lib';
use Test::LLM;

use Digest::SHA qw(sha256_hex);
use MIME::Base64 qw(encode_base64);

my $up = Test::LLM::Upstream->new;
my %key = map { $_ => "sk-llm-virtual-$_-000000000000" }
    qw(app old new free gone off late narrow routed boss query);

my $doc = {
    clients => [
        { id => 'app', name => 'The app', key_sha256 => sha256_hex($key{app}),
          prefix => 'sk-llm-virt', user => 'alice',
          metadata => { Team => 'search', level => 5, 'a"b' => 1 } },
        { id => 'turn', org => 'other', user => 'alice', priority => 'high',
          keys => [ { sha256 => sha256_hex($key{new}), prefix => 'new' },
                    { sha256 => sha256_hex($key{old}), expires => '2099-01-01T00:00:00Z' },
                    { sha256 => sha256_hex($key{gone}), expires => '2020-01-01' } ] },
        { id => 'free', key_sha256 => uc sha256_hex($key{free}), user => 'nobody' },
        { id => 'off', key_sha256 => sha256_hex($key{off}), disabled => JSON::PP::true },
        { id => 'late', key_sha256 => sha256_hex($key{late}), expires => '2026-01-01T00:00:00+01:00' },
        { id => 'narrow', key_sha256 => sha256_hex($key{narrow}),
          models => [ 'm-one', 'big-*', '~^fam/[ab]$' ] },
        { id => 'routed', key_sha256 => sha256_hex($key{routed}), routes => [ 'r-*', '/both/' ] },
        { id => 'CN=boss,O=Us', key_sha256 => sha256_hex($key{boss}) },
        { id => 'basic' },
        { id => 'query', key_sha256 => sha256_hex($key{query}) },
    ],
    users => [ { id => 'alice', org => 'acme' } ],
    orgs  => [ { id => 'acme', name => 'Acme' } ],
};

my $gw = Test::LLM::Gateway->new(
    vars => { UP => $up->port }, workers => 2, env => { PROVIDER_KEY => 'sk-provider-0001' },
    secrets => [ map { $key{$_} } grep { $_ ne 'query' } keys %key ], level => 'info',
    files => { 'clients.json' => to_json($doc),
               htpasswd => "basic:{PLAIN}pw\nboss:{PLAIN}pw\n" }, conf => <<'EOC')->start;
    llm_zone t:4m;
    llm_clients clients.json;
    log_format who '$uri|$status|$llm_client|$llm_user|$llm_org|$llm_priority|$llm_error'
                   '|$llm_client_meta_team|$llm_client_meta_level|$llm_client_meta_nothing';
    access_log %%DIR%%/who.log who;

    llm_provider up { dialect openai; base_url http://127.0.0.1:%%UP%%/v1; key env:PROVIDER_KEY; }
    llm_model m-one { provider up; id one; }
    llm_model m-two { provider up; id two; }
    llm_model big-x { provider up; id bx; }
    llm_model fam/a { provider up; id fa; }
    llm_model fam/c { provider up; id fc; }
    llm_route r-one { target m-one; }
    llm_route other { target m-two; }
    llm_split s-one { variant a r-one 100%; variant b other 0%; }
    llm_split app   { variant blue http://127.0.0.1:%%UP%% 100%; variant green http://127.0.0.1:%%UP%% 0%; }

    server {
        listen 127.0.0.1:%%PORT%%;
        llm_auth on;
        location /v1/      { llm_pass $llm_model; }
        location /open/v1/ { llm_auth off; llm_pass m-one; }
        location /one/v1/  { llm_pass m-one; }
        location /two/v1/  { llm_pass m-two; }
        location /r/v1/    { llm_pass r-one; }
        location /other/v1/ { llm_pass other; }
        location /both/    { llm_pass m-one m-two; }
        location /up/v1/   { llm_pass up; }
        location /app/     { llm_pass app; }
        location /ok       { default_type text/plain; return 200 "not authenticated in rewrite"; }
        location /file     { alias %%DIR%%/; }
        location /any/v1/  { satisfy any; allow 127.0.0.1; deny all; llm_pass m-one; }
        location /none/v1/ { satisfy any; deny all; llm_pass m-one; }
        location /all/v1/  { deny all; llm_pass m-one; }
        location /user/    { llm_auth $remote_user; auth_basic x; auth_basic_user_file %%DIR%%/htpasswd; llm_pass m-one; }
        location /sure/    { llm_auth $remote_user; satisfy any; deny all; auth_basic x;
                             auth_basic_user_file %%DIR%%/htpasswd; llm_pass m-one; }
        location /dn/      { llm_auth $http_x_dn; llm_pass m-one; }
        location /sub/     { auth_request /check; auth_request_set $who $upstream_http_x_who;
                             llm_auth $who; llm_pass m-one; }
        location = /check  { internal; proxy_pass_request_body off; proxy_set_header Content-Length ""; proxy_pass http://127.0.0.1:%%UP%%; }
        location /appuser/ { llm_auth $http_x_dn; llm_pass app; }
        location /head/    { limit_except GET { deny all; } llm_pass m-one; }
        location /redirect/ { error_page 418 = @inner; return 418; }
        location @inner    { llm_pass m-one; }
    }
EOC

$up->on('/v1/*' => ok_chat('hello'));
$up->on('/app/*' => [ [ body => 'app' ] ]);
$up->on('/appuser/*' => [ [ body => 'app' ] ]);
$up->on('/check' => [ [ status => '204 No Content' ], [ header => 'X-Who: app' ], [ body => '' ] ]);

my @json = ('Content-Type' => 'application/json');

sub ask {
    my ($path, $model, %headers) = @_;
    return $gw->http(POST => $path, { @json, %headers }, chat_body($model));
}

sub bearer { (Authorization => "Bearer $key{$_[0]}") }

sub who {
    my ($re) = @_;
    my $line;
    wait_for(sub { ($line) = reverse grep { /$re/ } split /\n/, $gw->access('who.log'); $line });
    return $line // '';
}

sub unauthorized {
    my ($r, $name) = @_;
    subtest $name => sub {
        is($r->status, 401, 'status');
        is($r->header('www-authenticate'), 'Bearer', 'WWW-Authenticate');
        is($r->header('x-llm-error'), 'policy_unauthorized', 'x-llm-error');
        is_deeply($r->json->{error}, { message => 'Valid credentials are required.',
            type => 'invalid_request_error', param => undef, code => 'invalid_api_key' },
            'the same words for all');
    };
}


# ---- keys -------------------------------------------------------------------

for my $h ([ Authorization => "Bearer $key{app}" ], [ Authorization => "bearer  $key{app}" ],
           [ 'x-api-key' => $key{app} ], [ 'API-Key' => $key{app} ], [ 'x-goog-api-key' => $key{app} ])
{
    is(ask('/v1/chat/completions', 'm-one', @$h)->status, 200, "$h->[0] is a place for a key");
}
is(ask('/v1/chat/completions', 'm-one', bearer($_))->status, 200, "the key of $_")
    for qw(new old free boss);
is(ask('/v1/chat/completions', 'm-one', Authorization => 'Basic eDp5', 'x-api-key' => $key{app})->status,
    200, 'another scheme is no key');

unauthorized(ask('/v1/chat/completions', 'm-one'), 'no key');
unauthorized(ask('/v1/chat/completions', 'm-one', Authorization => 'Bearer sk-wrong'), 'an unknown one');
unauthorized(ask('/v1/chat/completions', 'm-one', Authorization => 'Bearer '), 'an empty one');
unauthorized(ask('/v1/chat/completions', 'm-one', Authorization => $key{app}), 'no scheme');
unauthorized(ask('/v1/chat/completions', 'm-one', 'x-api-key' => substr $key{app}, 0, -1), 'a part of one');
unauthorized(ask('/v1/chat/completions', 'm-one', 'x-api-key' => sha256_hex($key{app})), 'its hash');
unauthorized(ask('/v1/chat/completions', 'm-one', bearer('gone')), 'an old key after its last day');
unauthorized(ask('/v1/chat/completions', 'm-one', bearer('late')), 'a client after its last day');
unauthorized(ask('/v1/chat/completions', 'm-one', bearer('off')), 'a disabled client');
unauthorized(ask("/v1/chat/completions?key=$key{query}", 'm-one'), 'a key in the address');
unauthorized(ask('/v1/chat/completions', 'm-one', Authorization => 'Bearer sk-wrong', 'x-api-key' => $key{app}),
    'the first one decides');
is(ask('/open/v1/chat/completions', 'm-one')->status, 200, 'llm_auth off');

{
    my $c = Test::LLM::Client->start(port => $gw->port, raw =>
        "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n");
    Test::LLM::Client::run(5, $c, sub { $c->status });
    is($c->status, 401, 'nobody without a key sends a body');
    $c->abort;
}


# ---- who it is ----------------------------------------------------------------

ask('/v1/chat/completions', 'm-one', bearer('app'), 'X-Mark' => 1);
is(who(qr/\|app\|/), '/v1/chat/completions|200|app|alice|acme|normal|-|search|5|-',
    'variables; the organisation is the user\'s');
is(who(qr/\|turn\|/), '/v1/chat/completions|200|turn|alice|other|high|-|-|-|-', '... or its own');
is(who(qr/\|free\|/), '/v1/chat/completions|200|free|nobody|-|normal|-|-|-|-',
    '... a user without a record');
like($gw->access('who.log'), qr/\|401\|-\|-\|-\|normal\|policy_unauthorized\|-\|-\|-/, '... nobody');


# ---- nginx's own ways -----------------------------------------------------------

is(ask('/any/v1/chat/completions', 'm-one')->status, 200, 'satisfy any: an address is enough');
is(ask('/none/v1/chat/completions', 'm-one', bearer('app'))->status, 200, '... or a key');
is(ask('/none/v1/chat/completions', 'm-one')->status, 401, '... one of them');
is(ask('/all/v1/chat/completions', 'm-one', bearer('app'))->status, 403, 'satisfy all');
is($gw->http(GET => '/ok')->status, 200, 'return comes before access');
is($gw->http(GET => '/file/clients.json')->status, 401, 'any location can have it');
is($gw->http(GET => '/file/htpasswd', { bearer('app') })->status, 200, '... and let in');
is(ask('/redirect/v1/chat/completions', 'm-one', bearer('app'))->status, 200, 'a redirect inside');

sub basic { (Authorization => 'Basic ' . encode_base64("$_[0]:$_[1]", '')) }

my $r = ask('/user/v1/chat/completions', 'm-one', basic('basic', 'pw'));
is($r->status, 200, 'llm_auth $remote_user');
is(who(qr/^\/user/), '/user/v1/chat/completions|200|basic|-|-|normal|-|-|-|-', '... names the client');
is(ask('/user/v1/chat/completions', 'm-one', basic('basic', 'no'))->status, 401, '... with its password');
like(ask('/user/v1/chat/completions', 'm-one')->header('www-authenticate'), qr/^Basic/, '... else nginx asks');
is(ask('/user/v1/chat/completions', 'm-one', basic('boss', 'pw'))->status, 401, '... and a record');
is(ask('/sure/v1/chat/completions', 'm-one', basic('basic', 'no'))->status, 401, 'a name alone lets nobody in');
is(ask('/sure/v1/chat/completions', 'm-one', basic('basic', 'pw'))->status, 200, '... but with the password');
is(ask('/dn/v1/chat/completions', 'm-one', 'X-Dn' => 'CN=boss,O=Us')->status, 200, 'a distinguished name');
unauthorized(ask('/dn/v1/chat/completions', 'm-one', 'X-Dn' => 'CN=else'), '... an unknown one');
unauthorized(ask('/dn/v1/chat/completions', 'm-one', 'X-Dn' => 'off'), '... of a disabled client');
unauthorized(ask('/dn/v1/chat/completions', 'm-one'), '... none');
is(ask('/sub/v1/chat/completions', 'm-one')->status, 200, 'auth_request names the client');
like(who(qr/^\/sub/), qr/\|200\|app\|/, '... after it was asked');


# ---- what may be used -------------------------------------------------------------

sub refused {
    my ($r, $word, $name) = @_;
    subtest $name => sub {
        is($r->status, 403, 'status');
        is($r->header('x-llm-error'), 'policy_model_not_allowed', 'x-llm-error');
        is($r->json->{error}{type}, 'permission_error', 'type');
        is($r->json->{error}{message}, "This client may not use \"$word\".", 'message');
    };
}

my @n = bearer('narrow');
is(ask('/v1/chat/completions', $_, @n)->status, 200, "narrow may use $_") for qw(m-one big-x fam/a);
refused(ask('/v1/chat/completions', $_, @n), $_, "... but not $_") for qw(m-two fam/c r-one s-one);
is(ask('/v1/chat/completions', 'nothing', @n)->status, 404, '... an unknown name is unknown');
is(ask('/one/v1/chat/completions', 'whatever', @n)->status, 200, '... the model of a location');
refused(ask('/two/v1/chat/completions', 'm-one', @n), 'm-two', '... that is not for it');
is(ask('/r/v1/chat/completions', 'x', @n)->status, 200, '... no list of routes: any');
is(ask('/up/v1/chat/completions', 'big-y', @n)->status, 200, '... the provider\'s own names');
refused(ask('/up/v1/chat/completions', 'gpt', @n), 'gpt', '... are checked as well');

my @r = bearer('routed');
is(ask('/r/v1/chat/completions', 'x', @r)->status, 200, 'routed may use its route');
refused(ask('/other/v1/chat/completions', 'x', @r), 'other', '... but no other');
is(ask('/both/v1/chat/completions', 'x', @r)->status, 200, '... a route of a location has its name');
is(ask('/v1/chat/completions', 'm-two', @r)->status, 200, '... any model');
is(ask('/v1/chat/completions', 'r-one', @r)->status, 200, '... its route by name');
refused(ask('/v1/chat/completions', 'other', @r), 'other', '... not another');
is($gw->http(GET => '/app/x', { @r })->status, 403, '... nor an application');

sub models { join ' ', sort map { $_->{id} } @{ $gw->http(GET => '/v1/models', { @_ })->json->{data} } }
is(models(bearer('app')), 'big-x fam/a fam/c m-one m-two other r-one s-one', '/v1/models: all');
is(models(@n), 'big-x fam/a m-one', '... of narrow');
is(models(@r), 'big-x fam/a fam/c m-one m-two r-one', '... of routed');
is($gw->http(GET => '/v1/models/m-two', { @n })->status, 404, '... one that is not for it');
is($gw->http(GET => '/v1/models/m-one', { @n })->status, 200, '... one that is');


# ---- keys stay here -----------------------------------------------------------------

my %all = (Authorization => "Bearer $key{app}", 'X-Api-Key' => $key{app}, 'api-key' => $key{app},
           'x-goog-api-key' => $key{app}, 'X-Other' => 'kept');
$up->forget;
ask('/v1/chat/completions', 'm-one', %all);
is($gw->http(GET => '/app/one', { %all })->body, 'app', 'an application answers');
$gw->http(GET => '/app/two', { Authorization => 'Basic eDp5', 'x-api-key' => $key{app} });
$gw->http(GET => '/appuser/three', { 'X-Dn' => 'app', Authorization => 'Bearer sk-its-own', 'x-api-key' => 'own' });
my ($provider, $one, $two, $three) = $up->received;

my $sent = join "\n", map { $_->{raw} // to_json($_) } $up->received;
unlike($sent, qr/sk-llm-virtual/, 'no key of ours was sent to anybody');
like(to_json($provider), qr/Bearer sk-provider-0001/, 'a provider gets its own');
unlike(to_json($one), qr/"(?:authorization|x-api-key|api-key|x-goog-api-key)"/i, 'an application none of the four');
like(to_json($one), qr/kept/, '... but the rest');
like(to_json($two), qr/Basic eDp5/, '... and another scheme');
like(to_json($three), qr/sk-its-own/, 'where a variable names the client, keys are the application\'s');


# ---- a reload ------------------------------------------------------------------------

$doc->{clients}[0]{disabled} = JSON::PP::true;
$gw->write('clients.json', to_json($doc));
$gw->reload;
unauthorized(ask('/v1/chat/completions', 'm-one', bearer('app')), 'a reload reads the file again');
is(ask('/v1/chat/completions', 'm-one', bearer('free'))->status, 200, '... all of it');

finish;
