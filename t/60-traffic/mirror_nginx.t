# Copies for the mirror in nginx's own corners: requests of HTTP/2, bodies in
# files, other event methods, a shutdown that does not wait, and a mirror that
# is the mock or has no room.

use lib 't/lib';
use Test::LLM;

my $up = Test::LLM::Upstream->new;
my $true = JSON::PP::true();
my $chat = '/v1/chat/completions';

my $conf = <<'EOC';
    llm_zone t:16m;
    client_body_buffer_size 1k;
    log_format llm '$status|$llm_variant';
    access_log %%DIR%%/llm.log llm;
    llm_provider blue { dialect openai; base_url http://127.0.0.1:%%UP%%/blue/v1; breaker off; }
    llm_provider green { dialect openai; base_url http://127.0.0.1:%%UP%%/green/v1; breaker off;
                         header X-Where "$server_addr:$server_port $2 $1"; header X-Tenant $tenant; }
    llm_provider small { dialect openai; base_url http://127.0.0.1:%%UP%%/small/v1; breaker off; inflight 1 queue=10 wait=20s; }
    llm_provider canned { dialect mock; latency 20ms; }
    llm_provider off { dialect openai; base_url http://127.0.0.1:%%UP%%/off/v1; enabled off; }
    llm_model chatty { provider green; id g; can chat stream; }
    llm_split all  { variant blue blue 100%; variant green green 0%; mirror green 100%; }
    llm_split tiny { variant blue blue 100%; variant green small 0%; mirror green 100%; }
    llm_split mock { variant blue blue 100%; variant green canned 0%; mirror green 100%; }
    llm_split can  { variant blue blue 100%; variant green chatty 0%; mirror green 100%; }
    server {
        listen 127.0.0.1:%%PORT%%;
        location /v1/ { llm_pass all; }
        location /tiny/ { llm_pass tiny; }
        location /mock/ { llm_pass mock; }
        location /can/ { llm_pass can; }
        location /admin/ { llm_admin; }
        location = /up { return 204; }
    }
    server { listen 127.0.0.1:%%PORT_H2%% http2; location /v1/ { llm_pass all; } }
    server { listen *:%%PORT_ANY%%; location ~ ^/of/(\w+)/(\w+)/v1/ { llm_pass all; }
             location ~ ^/no/group { llm_pass all; } }
    map $http_x_tenant $tenant { default ""; ~^(a)(b)(c)(d)(e)(f)$ "$6$5$4"; }
EOC

sub gateway {
    my (%o) = @_;
    $up->reset;
    $up->on('/*' => ok_chat('x'));
    return Test::LLM::Gateway->new(vars => { UP => $up->port }, conf => $conf, %o)->start;
}

sub mirror { my ($gw, $name) = @_; return from_json($gw->get("/admin/splits/$name")->body)->{mirror} }

sub counted {
    my ($gw, $split, $name, $want) = @_;
    my $is = '';
    wait_for(sub { my $m = mirror($gw, $split); ($is = "$m->{copies} $m->{skipped} $m->{errors}") eq $want }, 8);
    is($is, $want, $name);
}

my $gw = gateway();

# ---- HTTP/2 -------------------------------------------------------------------

my ($curl) = grep { -x } map { "$_/curl" } split /:/, $ENV{PATH};

SKIP: {
    skip 'no curl that speaks HTTP/2', 4 unless $curl && `$curl --version` =~ /\bHTTP2\b/;

    my $url = 'http://127.0.0.1:' . $gw->port('H2') . $chat;
    my $body = chat_body('m');
    my $out = `$curl -s --max-time 10 --http2-prior-knowledge -d '$body' -H 'Content-Type: application/json' '$url'`;
    is(from_json($out)->{choices}[0]{message}{content}, 'x', 'a request of HTTP/2 is served');
    counted($gw, 'all', '... and copied', '1 0 0');
    is(($up->received('/green/*'))[0]{body}, $body, '... as it came');

    $up->on('/*' => ok_stream([ 'a', 'b' ]));
    $body = chat_body('m', stream => $true);
    $out = `$curl -s --max-time 10 --http2-prior-knowledge -d '$body' -H 'Content-Type: application/json' '$url'`;
    counted($gw, 'all', '... a stream too', '2 0 0');
    $up->on('/*' => ok_chat('x'));
}

# ---- a body in a file -----------------------------------------------------------

my $before = mirror($gw, 'all')->{copies};
my $body = chat_body('m', user => 'y' x 50_000);
$up->forget;
is($gw->post($chat, $body)->status, 200, 'a body in a file');
counted($gw, 'all', '... is copied', $before + 1 . ' 0 0');
is(($up->received('/green/*'))[0]{body}, $body, '... byte by byte');

# ---- where it came from ---------------------------------------------------------

$up->forget;
is($gw->http(POST => "/of/one/two$chat", {}, chat_body('m'), port => $gw->port('ANY'))->status, 200, 'listen on all addresses, a regex');
counted($gw, 'all', '... copied', $before + 2 . ' 0 0');
is(($up->received('/green/*'))[0]{h}{'x-where'}, '127.0.0.1:' . $gw->port('ANY') . ' two one', '... with all that was known of it');
is($gw->http(POST => "/no/group$chat", { 'X-Tenant' => 'abcdef' }, chat_body('m'), port => $gw->port('ANY'))->status, 200, 'a regex without groups');
counted($gw, 'all', '... copied', $before + 3 . ' 0 0');
is(($up->received('/green/*'))[1]{h}{'x-tenant'}, 'fed', '... and its own groups in a map');

# ---- no room, no model, no network ------------------------------------------------

$up->on('/small/*' => [ [ barrier => 'small' ], @{ ok_chat('x') } ]);
is(chat($gw, 'm', path => "/tiny$chat")->status, 200, 'a mirror with one slot');
ok(wait_for(sub { $up->waiting('small') == 1 }, 5), '... that is taken');
chat($gw, 'm', path => "/tiny$chat");
counted($gw, 'tiny', 'a copy does not queue for it', '0 1 0');
$up->release('small');
counted($gw, 'tiny', '... and the first one ends', '1 1 0');

chat($gw, 'm', path => "/mock$chat");
chat($gw, 'm', path => "/mock$chat", stream => $true);
counted($gw, 'mock', 'the mock as a mirror', '2 0 0');

$up->forget;
is(chat($gw, 'm', path => "/can$chat", tools => [ { type => 'function', function => { name => 'f' } } ])->status, 200,
   'a request that the mirror cannot serve');
counted($gw, 'can', '... is skipped', '0 1 0');
is($up->count('/green/*'), 0, '... unsent');

check($gw);

# ---- a shutdown that does not wait ---------------------------------------------------

$gw = gateway(main => "worker_shutdown_timeout 500ms;\n");
$up->on('/green/*' => [ [ 'hang' ] ]);
chat($gw, 'm') for 1 .. 2;
chat($gw, 'm', stream => $true);
ok(wait_for(sub { $up->count('/green/*') == 3 }, 5), 'copies hang');
my ($old) = $gw->workers;
$gw->reload;
ok(wait_for(sub { !grep { $_ == $old } $gw->workers(1) }, 10), 'worker_shutdown_timeout ends them with their worker');
is(mirror($gw, 'all')->{skipped}, 3, '... uncompared');
check($gw);

# ---- another event method ----------------------------------------------------------

my $nginx = $ENV{LLM_NGINX} || 'nginx';

SKIP: {
    skip 'an nginx without poll', 4 unless `$nginx -V 2>&1` =~ /with-poll_module/;

    $gw = gateway(events => "use poll;\n");
    is(chat($gw, 'm')->status, 200, 'with poll');
    $up->on('/*' => ok_stream([ 'a', [ pause => 20 ], 'b' ]));
    is(chat($gw, 'm', stream => $true)->status, 200, '... and a stream');
    counted($gw, 'all', '... copies end', '2 0 0');
    check($gw);
}

finish();
