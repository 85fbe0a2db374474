# Inheritance http, server, location, as users of nginx expect it; the smallest
# configurations; secrets by reload and restart.

use lib 't/lib';
use Test::LLM;

my $up = Test::LLM::Upstream->new;
$up->on('/*' => ok_chat('fine'));
my $gw = Test::LLM::Gateway->new(vars => { UP => $up->port }, conf => <<'EOC');
    llm_provider p { dialect openai; base_url http://127.0.0.1:%%UP%%/v1; key file:%%DIR%%/a.key; breaker off; }
    llm_response_headers id;
    llm_retry 1 backoff=1ms..1ms budget=100%;
    server {
        listen 127.0.0.1:%%PORT%%;
        location /http/ { llm_pass p; }
        location /here/ { llm_pass p; llm_response_headers all; llm_retry off; }
        location /nested/ { llm_pass p; location /nested/in/ { llm_response_headers off; llm_pass p; } location /nested/bare/ { } }
        location /up { return 204; }
    }
    server {
        listen 127.0.0.1:%%PORT_TWO%%;
        llm_response_headers off;
        llm_retry 2 backoff=1ms..1ms budget=100%;
        location /server/ { llm_pass p; }
    }
EOC
$gw->secret_file('a.key', "sk-file-first\n");
$gw->start;
sub ask { my ($p, %o) = @_; return $gw->http(POST => "/$p/v1/chat/completions", {}, chat_body('m'), %o) }
sub sends { my ($p, %o) = @_; $up->reset; $up->on('/*' => reply(500, {}, '{}')); ask($p, %o); my $n = $up->count; $up->reset; $up->on('/*' => ok_chat('fine')); return $n }

ok(!defined ask('http')->header('x-llm-provider'), 'llm_response_headers of http');
ok(defined ask('http')->header('x-llm-request-id'), '... id');
ok(defined ask('here')->header('x-llm-provider'), '... overridden in a location');
unlike(ask('nested/in')->head, qr/x-llm/i, '... and in a nested one');
unlike(ask('server', port => $gw->port('TWO'))->head, qr/x-llm/i, '... and in a server');
is(sends('http'), 2, 'llm_retry of http');
is(sends('here'), 1, '... off in a location');
is(sends('server', port => $gw->port('TWO')), 3, '... of a server');
is(ask('nested/bare')->status, 404, 'llm_pass is not inherited, as proxy_pass is not');

# the key is read when the configuration is loaded
$up->reset;
$up->on('/*' => ok_chat('fine'));
ask('http');
is(($up->received)[-1]{key}, 'sk-file-first', 'the key of the file');
$gw->secret_file('a.key', "sk-file-second\n");
ask('http');
is(($up->received)[-1]{key}, 'sk-file-first', 'a changed file waits for a reload');
$gw->reload;
ask('http');
is(($up->received)[-1]{key}, 'sk-file-second', '... which reads it');
unlink $gw->dir . '/a.key';
$gw->expect_log(qr/a\.key/);
ok(!$gw->reload, 'a reload without the file is refused');
is(ask('http')->status, 200, '... the old configuration goes on');

finish();
